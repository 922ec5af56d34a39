from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common import sealed
from common.commands import Answer, CliCommand


class Command(CliCommand):
    about = gettext_lazy(
        "Seal every stored secret under the first of ENCRYPTION_KEYS. A server may run meanwhile.\n"
        "Broken off, it goes on where it was. Once nothing remains, the old keys may go.\n"
        "Rows that no key opens are named: enter their secrets again."
    )
    examples = (
        "manage.py rotate_encryption_keys --dry-run",
        "manage.py rotate_encryption_keys --format json",
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help=_("Count, change nothing."))

    def run(self, *, dry_run: bool, **options: Any) -> Answer:
        return [asdict(each) for each in sealed.rotate(dry_run=dry_run)]
