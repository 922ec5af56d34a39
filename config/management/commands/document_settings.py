from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from common.commands import Answer, CliCommand, Refused
from config import documents
from config.env import BASE_DIR


class Command(CliCommand):
    about = "Write .env.example and docs/configuration.md as the settings have them."
    examples = ("manage.py document_settings", "manage.py document_settings --check")

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; exit 1 when they are stale."
        )

    def run(self, *, check: bool, **options: Any) -> Answer:
        if missing := documents.undescribed():
            raise Refused(f"config/variables.py does not fit the settings: {', '.join(missing)}.")
        stale = documents.stale(BASE_DIR)
        if check and stale:
            raise Refused(f"Stale: {', '.join(stale)}. Run: make documents")
        for name, text in stale.items():
            (BASE_DIR / name).write_text(text, encoding="utf-8")
        return f"Written: {', '.join(stale)}." if stale else "All is as the settings have it."
