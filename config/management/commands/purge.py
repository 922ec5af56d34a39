from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common import purging
from common.commands import Answer, CliCommand


class Command(CliCommand):
    about = gettext_lazy(
        "Drop what has run out, and say how much it was. A server does this every hour."
    )
    examples = ("manage.py purge", "manage.py purge --dry-run --format json")

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help=_("Count, drop nothing."))

    def run(self, *, dry_run: bool, **options: Any) -> Answer:
        return [asdict(each) for each in (purging.count() if dry_run else purging.purge())]
