"""`manage.py quota`: limits of people, roles, API keys and the deployment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.commands import Answer, CliGroup
from quotas.management.words import a_moment, add_subjects, called, chosen
from quotas.models import Boost, Metric, Period
from quotas.services import granting
from quotas.services.amounts import Allowance, amount_in, told
from quotas.services.subjects import Subject
from quotas.services.windows import shown, standings_of

NO_LIMIT = "none"


class Command(CliGroup):
    about = gettext_lazy("Show and set limits, grant more for a time, and start anew.")
    examples = (
        "manage.py quota show mina",
        "manage.py quota show --deployment --format json",
        "manage.py quota set mina tokens day 500000",
        "manage.py quota set --group member cost month 250.00",
        "manage.py quota set mina tokens day none",
        "manage.py quota grant mina olga tokens 100000 --until 2030-01-31 --reason release",
        "manage.py quota reset mina --period day",
    )

    def add_commands(self) -> None:
        showing = self.add("show", self.show, help=_("Limits, and what is left of each."))
        add_subjects(showing)
        setting = self.add("set", self.set_limit, help=_("Set a limit, or take it away."))
        add_subjects(setting)
        _add_metric(setting)
        setting.add_argument(
            "period", choices=Period.values, metavar="PERIOD", help=", ".join(Period.values)
        )
        setting.add_argument("amount", metavar="AMOUNT", help=_("A number, money, or none."))
        granting_ = self.add("grant", self.grant, help=_("Let them use more for a time."))
        add_subjects(granting_)
        _add_metric(granting_)
        granting_.add_argument("amount", metavar="AMOUNT", help=_("A number, or money."))
        granting_.add_argument(
            "--period",
            choices=Period.values,
            default="",
            help=_("Which limits to raise (those of day, month and total)."),
        )
        granting_.add_argument(
            "--until", type=a_moment, help=_("A day to its end, or a time (for good).")
        )
        granting_.add_argument("--reason", default="", help=_("Kept beside it."))
        resetting = self.add(
            "reset", self.reset, help=_("Forgive what was used, until the window ends.")
        )
        add_subjects(resetting)
        resetting.add_argument(
            "--metric", choices=Metric.values, default="", help=_("Only this metric.")
        )
        resetting.add_argument(
            "--period", choices=Period.values, default="", help=_("Only this period.")
        )

    def show(self, **options: Any) -> Answer:
        return [row for subject in _chosen(options) for row in _standings(subject)]

    def set_limit(self, *, metric: str, period: str, amount: str, **options: Any) -> Answer:
        wanted = None if amount == NO_LIMIT else amount_in(metric, amount)
        found = _chosen(options)
        for subject in found:
            granting.set_limit(subject, metric, period, wanted, actor=None)
        limit = NO_LIMIT if wanted is None else told(metric, wanted)
        return [
            {"of": called(each), "metric": metric, "period": period, "limit": limit}
            for each in found
        ]

    def grant(
        self,
        *,
        metric: str,
        amount: str,
        period: str,
        until: datetime | None,
        reason: str,
        **options: Any,
    ) -> Answer:
        wanted = amount_in(metric, amount)
        return [
            _boost(
                subject,
                granting.grant(
                    subject, metric, wanted, period=period, until=until, reason=reason, actor=None
                ),
            )
            for subject in _chosen(options)
        ]

    def reset(self, *, metric: str, period: str, **options: Any) -> Answer:
        made = [
            _boost(subject, boost)
            for subject in _chosen(options)
            for boost in granting.reset(subject, metric=metric, period=period, actor=None)
        ]
        return made or _("Nothing was used.")


def _add_metric(parser: Any) -> None:
    parser.add_argument(
        "metric", choices=Metric.values, metavar="METRIC", help=", ".join(Metric.values)
    )


def _chosen(options: dict[str, Any]) -> list[Subject]:
    return chosen(**{name: options[name] for name in ("users", "group", "key", "deployment")})


def _standings(subject: Subject) -> list[dict[str, Any]]:
    now = timezone.now()
    limits = granting.applying_to(subject, at=now)
    return [
        {"of": called(subject)} | shown(limit, standing, at=now)
        for limit, standing in standings_of(limits, at=now)
    ]


def _boost(subject: Subject, boost: Boost) -> dict[str, Any]:
    return {
        "of": called(subject),
        "granted": str(Allowance(boost.metric, boost.period or "*", boost.amount)),
        "until": boost.ends_at and boost.ends_at.isoformat(timespec="seconds"),
    }
