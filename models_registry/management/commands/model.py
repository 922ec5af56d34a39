"""`manage.py model`: what people may chat with, from the command line."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime
from typing import Any

from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.services.people import find
from common.commands import Answer, CliGroup, confirm, moment, usage_error
from common.errors import NotFound
from common.money import as_decimal, billionths
from models_registry.models import ChatModel
from models_registry.services import prices
from models_registry.services.access import access_of, grant, revoke
from models_registry.services.explaining import explain, meant_by
from models_registry.services.models import change_model, delete_model, set_enabled

# For cached input: no price of its own.
_AS_OTHER = "none"


class Command(CliGroup):
    about = gettext_lazy(
        "The deployment's models: list, switch and delete them, set their prices, open and close "
        "them to people."
    )
    examples = (
        "manage.py model list",
        "manage.py model disable gpt-4o",
        "manage.py model grant gpt-4o --role member --user mina",
        "manage.py model grant gpt-4o --everyone",
        "manage.py model revoke gpt-4o --everyone --user mina",
        "manage.py model why gpt-4o mina",
        "manage.py model price gpt-4o --input 2.5 --output 10 --cached 1.25 --from 2030-01-31",
        "manage.py model delete gpt-4o --yes",
    )

    def add_commands(self) -> None:
        listing = self.add("list", self.list_models, help=_("List models with their prices."))
        listing.add_argument("--all", action="store_true", help=_("Disabled ones too."))
        for name, switched, text in (
            ("enable", True, _("Switch models on.")),
            ("disable", False, _("Switch models off.")),
        ):
            parser = self.add(name, self.switch, help=text)
            parser.add_argument("models", nargs="+", metavar="MODEL", help=_("Names of models."))
            parser.set_defaults(enabled=switched)
        giving = self.add("grant", self.grant, help=_("Open a model to more people."))
        giving.add_argument("model", help=_("Its name."))
        giving.add_argument(
            "--everyone", action="store_true", default=None, help=_("To all who are signed in.")
        )
        giving.add_argument("--only", action="store_true", help=_("No longer to everyone."))
        _add_people(giving)
        taking = self.add("revoke", self.revoke, help=_("Close a model to some people."))
        taking.add_argument("model", help=_("Its name."))
        taking.add_argument("--everyone", action="store_true", help=_("No longer to everyone."))
        _add_people(taking)
        asking = self.add("why", self.why, help=_("Say whether a person may use a model, and why."))
        asking.add_argument("model", help=_("Its name."))
        asking.add_argument("user", help=_("User name or e-mail."))
        self._add_price()
        deleting = self.add("delete", self.delete, help=_("Delete a model; its answers end."))
        deleting.add_argument("model", help=_("Its name."))
        deleting.add_argument("--yes", action="store_true", help=_("Do not ask."))

    def _add_price(self) -> None:
        parser = self.add(
            "price",
            self.price,
            help=_("Show what a model costs, or set it, from now or from a date on."),
        )
        parser.add_argument("model", help=_("Its name."))
        for name, kind, text in (
            ("input", _amount, _("Per 1,000,000 tokens of input.")),
            ("output", _amount, _("Per 1,000,000 tokens of output.")),
            (
                "cached",
                _amount_or_none,
                _("Per 1,000,000 tokens of cached input; none: as any other input."),
            ),
        ):
            parser.add_argument(f"--{name}", type=kind, metavar="PRICE", help=text)
        parser.add_argument(
            "--from",
            dest="starts_at",
            type=_moment,
            metavar="DATE",
            help=_("When it begins to hold: a date like 2030-01-31, or a date and time."),
        )
        parser.add_argument(
            "--remove", action="store_true", help=_("Take back the price that holds from DATE on.")
        )

    def list_models(self, *, all: bool, **_options: Any) -> Answer:  # noqa: A002 the option's name
        models = ChatModel.objects.select_related("connection", "owner").order_by("name", "id")
        if not all:
            models = models.enabled()
        return [_row(model) for model in models.annotate(grants=Count("roles") + Count("users"))]

    def switch(self, *, models: list[str], enabled: bool, **_options: Any) -> Answer:
        chosen = [_found(name) for name in models]
        changed = set_enabled(chosen, actor=None, enabled=enabled)
        return {"enabled": enabled, "models": models, "changed": changed}

    def grant(
        self,
        *,
        model: str,
        everyone: bool | None,
        only: bool,
        role: list[str],
        user: list[str],
        **_options: Any,
    ) -> Answer:
        if not (everyone or only or role or user):
            raise usage_error(_("Say to whom: --everyone, --role or --user."))
        if everyone and only:
            raise usage_error(_("--everyone and --only exclude each other."))
        people = [find(name).pk for name in user]
        wanted, found = False if only else everyone, _found(model)
        changed = grant(found, actor=None, everyone=wanted, roles=role, users=people)
        return _opened(found, changed=changed)

    def revoke(
        self, *, model: str, everyone: bool, role: list[str], user: list[str], **_options: Any
    ) -> Answer:
        if not (everyone or role or user):
            raise usage_error(_("Say to whom: --everyone, --role or --user."))
        people = [find(name).pk for name in user]
        found = _found(model)
        changed = revoke(found, actor=None, everyone=everyone, roles=role, users=people)
        return _opened(found, changed=changed)

    def delete(self, *, model: str, yes: bool, **_options: Any) -> Answer:
        found = _found(model)
        deleted = {"id": str(found.pk), "name": found.name}
        if not yes:
            confirm(_("Delete the model %(name)s?") % deleted)
        delete_model(found, actor=None)
        return deleted

    def price(
        self,
        *,
        model: str,
        starts_at: datetime | None,
        remove: bool,
        **options: Any,
    ) -> Answer:
        found = _found(model)
        names = {"input": "input_price", "output": "output_price", "cached": "cached_price"}
        given = {names[each]: options[each] for each in names if options[each] is not None}
        if given.get("cached_price") == _AS_OTHER:
            given["cached_price"] = None
        if remove:
            if given or starts_at is None:
                raise usage_error(_("--remove takes --from DATE and nothing else."))
            _remove_price(found, starts_at)
        elif given and starts_at is None:
            change_model(found, actor=None, changes=given)
        elif given and starts_at is not None:
            price = prices.changed(prices.holding_at(found, starts_at), given)
            prices.set_price(found, price, starts_at=starts_at, actor=None)
        elif starts_at is not None:
            raise usage_error(_("Say what it costs: --input, --output or --cached."))
        return _prices(found)

    def why(self, *, model: str, user: str, **_options: Any) -> Answer:
        person = find(user)
        meant = meant_by(model, person)
        told = {"model": meant.name, "scope": meant.scope, "user": person.username}
        return told | explain(meant, person).as_dict()


def _add_people(parser: Any) -> None:
    parser.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="ROLE",
        help=_("To whoever has this role; may be repeated."),
    )
    parser.add_argument(
        "--user",
        action="append",
        default=[],
        metavar="NAME",
        help=_("To this person: user name or e-mail; may be repeated."),
    )


def _opened(model: ChatModel, *, changed: bool) -> Answer:
    access = access_of(model)
    return {
        "name": model.name,
        "everyone": access.everyone,
        "roles": list(access.roles),
        "users": [str(each) for each in access.users],
        "changed": changed,
    }


def _amount_or_none(text: str) -> int | str:
    return text if text == _AS_OTHER else _amount(text)


def _amount(text: str) -> int:
    """Billionths; argparse tells what is wrong."""
    try:
        return billionths(text)
    except ValueError as exc:
        raise ArgumentTypeError(_("use a number like 2.5")) from exc


def _moment(text: str) -> datetime:
    found = moment(text)
    if found is None:
        raise ArgumentTypeError(_("use a date like 2030-01-31, or a date and time"))
    return found


def _remove_price(model: ChatModel, starts_at: datetime) -> None:
    row = model.prices.filter(starts_at=starts_at).first()
    if row is None:
        raise NotFound(_("No price of this model begins to hold at that time."))
    prices.delete_price(row, actor=None)
    model.refresh_from_db()


def _prices(model: ChatModel) -> list[dict[str, Any]]:
    """What it costs, one row for each time that this changes; the first holds until the second."""
    rows = [(None, model.first_price), *((row.starts_at, row.price) for row in model.prices.all())]
    begun = [at for at, _price in rows if at is None or at <= timezone.now()]
    return [
        {
            "from": at and timezone.localtime(at).isoformat(),
            "input_price": as_decimal(price.input_price),
            "output_price": as_decimal(price.output_price),
            "cached_input_price": as_decimal(price.cached_input),
            "holds": at == begun[-1],
        }
        for at, price in rows
    ]


def _found(name: str) -> ChatModel:
    model = ChatModel.objects.filter(owner=None, name=name).first()
    if model is None:
        raise NotFound(_("There is no model called %(name)s.") % {"name": name})
    return model


def _row(model: ChatModel) -> dict[str, Any]:
    price = model.price
    return {
        "name": model.name,
        "scope": model.scope,
        "owner": model.owner.username if model.owner else None,
        "connection": model.connection.name,
        "enabled": model.enabled and model.connection.enabled,
        "everyone": model.everyone,
        "grants": getattr(model, "grants", 0),
        "context_window": model.context_window,
        "input_price": as_decimal(price.input_price),
        "output_price": as_decimal(price.output_price),
    }
