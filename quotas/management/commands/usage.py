"""`manage.py usage`: what was used, for people and for spreadsheets."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common import dates
from common.commands import FORMATS, Answer, CliGroup
from common.csv_files import as_csv
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
        rows = usage.report(by, *dates.span(start, to, today=usage.today()))
        return as_csv(rows).rstrip() if options["format"] == CSV else rows
