from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.services import statistics
from common.commands import Answer, CliCommand, usage_error

_MOST_DAYS = 3_660


class Command(CliCommand):
    about = gettext_lazy("Who and what there is, and what was used lately.")
    examples = ("manage.py stats", "manage.py stats --days 7 --by-model --format json")

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=30, help=_("Use of how many days (30)."))
        parser.add_argument("--by-model", action="store_true", help=_("The use, model by model."))

    def run(self, *, days: int, by_model: bool, **options: Any) -> Answer:
        if not 1 <= days <= _MOST_DAYS:
            raise usage_error(_("--days is a number from 1 to %(most)d.") % {"most": _MOST_DAYS})
        asked = statistics.by_model if by_model else statistics.statistics
        return asked(days=days)
