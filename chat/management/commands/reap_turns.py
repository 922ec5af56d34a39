from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.turns.reaping import reap
from common.commands import Answer, CliCommand


class Command(CliCommand):
    about = gettext_lazy(
        "End the turns whose process is gone: their text is kept, their holds are settled.\n"
        "Looks for half a minute who still moves. A running server does this all the time."
    )
    examples = ("manage.py reap_turns", "manage.py reap_turns --dry-run --format json")

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help=_("Name them, end nothing."))

    def run(self, *, dry_run: bool, **options: Any) -> Answer:
        turns = asyncio.run(reap(close=not dry_run))
        return {"ended": 0 if dry_run else len(turns), "turns": [str(each) for each in turns]}
