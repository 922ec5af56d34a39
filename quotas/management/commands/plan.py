"""`manage.py plan`: plans, and who has which."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.services import people
from common.commands import Answer, CliGroup, confirm, usage_error
from quotas.models import Plan
from quotas.services import plans
from quotas.services.amounts import Allowance, amount_in, check_named


class Command(CliGroup):
    about = gettext_lazy("List, make, change, delete and assign plans: limits for each person.")
    examples = (
        "manage.py plan list",
        "manage.py plan create Team --limit tokens/day=500000 --limit cost/month=25.00",
        "manage.py plan change Team --default",
        "manage.py plan assign Team mina olga",
        "manage.py plan assign Team --role agent",
        "manage.py plan assign none mina",
        "manage.py plan delete Team --yes",
    )

    def add_commands(self) -> None:
        self.add("list", self.list_plans, help=_("All plans."))
        creating = self.add("create", self.create, help=_("Make a plan."))
        changing = self.add("change", self.change, help=_("Change a plan for all who have it."))
        for parser, text in (
            (creating, _("Such as tokens/day=500000; may be repeated.")),
            (changing, _("All its limits from now on; may be repeated.")),
        ):
            _add_name(parser)
            parser.add_argument(
                "--limit", action="append", metavar="METRIC/PERIOD=AMOUNT", help=text
            )
            parser.add_argument(
                "--default", action="store_true", help=_("It is everybody's who has no other.")
            )
        changing.add_argument("--rename", metavar="NAME", help=_("Its new name."))
        changing.add_argument("--no-limits", action="store_true", help=_("Take all limits away."))
        deleting = self.add(
            "delete",
            self.delete,
            help=_("Delete a plan; who had it has their roles', else the default."),
        )
        _add_name(deleting)
        deleting.add_argument("--yes", action="store_true", help=_("Do not ask."))
        assigning = self.add("assign", self.assign, help=_("Give a plan to people or a role."))
        assigning.add_argument("name", metavar="NAME", help=_("Name of a plan, or none."))
        assigning.add_argument("users", nargs="*", metavar="USER", help=_("User name or e-mail."))
        assigning.add_argument(
            "--role", help=_("To each who has this role and no plan of their own.")
        )

    def list_plans(self, **_options: Any) -> Answer:
        found = Plan.objects.prefetch_related("limits").annotate(assigned=Count("assignments"))
        return [_row(plan) | {"assigned": plan.assigned} for plan in found]

    def create(
        self, *, name: str, limit: list[str] | None, default: bool, **_options: Any
    ) -> Answer:
        made = plans.create(actor=None, name=name, is_default=default, limits=_limits(limit or ()))
        return _row(made)

    def change(
        self,
        *,
        name: str,
        limit: list[str] | None,
        default: bool,
        rename: str | None,
        no_limits: bool,
        **_options: Any,
    ) -> Answer:
        if limit and no_limits:
            raise usage_error(_("--limit and --no-limits exclude each other."))
        changed = plans.change(
            plans.find(name),
            actor=None,
            name=rename,
            is_default=True if default else None,
            limits=_limits(limit or ()) if limit or no_limits else None,
        )
        return _row(changed)

    def delete(self, *, name: str, yes: bool, **_options: Any) -> Answer:
        plan = plans.find(name)
        if not yes:
            confirm(_("Delete the plan %(name)s?") % {"name": plan.name})
        plans.delete(plan, actor=None)
        return {"name": name}

    def assign(self, *, name: str, users: list[str], role: str | None, **_options: Any) -> Answer:
        if bool(users) == (role is not None):
            raise usage_error(_("Say to whom: USER or --role."))
        plan = None if name == plans.NO_PLAN else plans.find(name)
        told = plan.name if plan else None
        if role is not None:
            plans.assign_to_role(role, plan, actor=None)
            return {"to": role, "plan": told}
        for user in [people.find(each) for each in users]:
            plans.assign_to_person(user, plan, actor=None)
        return [{"to": each, "plan": told} for each in users]


def _add_name(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help=_("Name of a plan."))


def _limits(words: Any) -> list[Allowance]:
    """Raises Invalid."""
    return [_limit(each) for each in words]


def _limit(word: str) -> Allowance:
    named, _equals, amount = word.partition("=")
    metric, _slash, period = named.partition("/")
    check_named(metric, period, field="limit")
    return Allowance(metric, period, amount_in(metric, amount, field="limit"))


def _row(plan: Plan) -> dict[str, Any]:
    limits = [str(each) for each in plans.allowances(plan)]
    return {"name": plan.name, "default": plan.is_default, "limits": limits}
