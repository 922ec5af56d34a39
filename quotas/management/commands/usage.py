"""`manage.py usage`: what was used, for people and for spreadsheets."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.commands import FORMATS, Answer, CliGroup
from common.csv_files import as_csv
from common.errors import Invalid
from quotas.management.words import a_day
from quotas.services import usage

CSV = "csv"


class Command(CliGroup):
    about = gettext_lazy("Report what was used, by person, model, API key or day.")
    examples = (
        "manage.py usage report --by user",
        "manage.py usage report --by day --from 2030-01-01 --to 2030-01-31",
        "manage.py usage report --by model --format csv > usage.csv",
    )

    def add_commands(self) -> None:
        report = self.add(
            "report", self.report, help=_("Sums of the last 30 days."), formats=(*FORMATS, CSV)
        )
        report.add_argument(
            "--by", choices=usage.GROUPS, default="day", help=_("How to group (day).")
        )
        report.add_argument(
            "--from", dest="start", type=a_day, metavar="DATE", help=_("The first day.")
        )
        report.add_argument("--to", type=a_day, metavar="DATE", help=_("The last day (today)."))

    def report(self, *, by: str, start: date | None, to: date | None, **options: Any) -> Answer:
        rows = usage.report(by, *_days(start, to))
        return as_csv(rows).rstrip() if options["format"] == CSV else rows


def _days(start: date | None, to: date | None) -> tuple[date, date]:
    """The last 30 where none are named; raises Invalid."""
    to = to or usage.today()
    first, last = settings.DATE_YEARS
    if not first <= to.year <= last:
        raise Invalid.field("to", _("Use a date like 2030-01-31."))
    start = start or to - timedelta(days=29)
    if start > to or (to - start).days >= settings.DATE_RANGE_DAYS:
        raise Invalid.field(
            "from", _("Choose at most %(days)d days.") % {"days": settings.DATE_RANGE_DAYS}
        )
    return start, to
