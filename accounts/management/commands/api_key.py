from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import ApiKey, Scope
from accounts.services import api_keys, people
from common.commands import Answer, CliGroup, how_many, moment, usage_error
from common.errors import NotFound


class Command(CliGroup):
    about = gettext_lazy("Make API keys for people, list and revoke them.")
    examples = (
        "manage.py api_key create --user mina --name Nightly",
        "manage.py api_key create --user mina --name Search --scope read --format json",
        "manage.py api_key create --user mina --name CI --model gpt-4o --address 10.0.0.0/8",
        "manage.py api_key list --user mina",
        "manage.py api_key revoke 01a1f2c0-3b7e-7c1d-9f00-5d2c8e9a4b10",
    )

    def add_commands(self) -> None:
        listing = self.add("list", self.list_keys, help=_("Keys, the newest first."))
        listing.add_argument(
            "--user", metavar="NAME", help=_("Only those of this person: user name or e-mail.")
        )
        listing.add_argument(
            "--limit", type=how_many, default=100, help=_("How many at most (100).")
        )
        making = self.add("create", self.create, help=_("Make a key. It is printed this once."))
        making.add_argument(
            "--user", required=True, metavar="NAME", help=_("Its owner: user name or e-mail.")
        )
        making.add_argument("--name", required=True, help=_("What to call it."))
        making.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help=_("What it may be used for; may be repeated (read and chat)."),
        )
        making.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="NAME",
            help=_("Only this model answers it; may be repeated (any)."),
        )
        making.add_argument(
            "--address",
            action="append",
            default=[],
            metavar="NETWORK",
            help=_("Only from there, like 10.0.0.0/8; may be repeated (anywhere)."),
        )
        making.add_argument(
            "--expires", metavar="TIME", help=_("When it ends, like 2030-01-31T12:00Z (never).")
        )
        ending = self.add("revoke", self.revoke, help=_("End a key, its sockets and streams."))
        ending.add_argument("id", type=UUID, metavar="ID", help=_("As `list` tells it."))

    def list_keys(self, *, user: str | None, limit: int, **options: Any) -> Answer:
        found = ApiKey.objects.filter(revoked_at=None).select_related("user").order_by("-id")
        if user:
            found = found.filter(user=people.find(user))
        return [_row(key) for key in found[: max(limit, 0)]]

    def create(
        self,
        *,
        user: str,
        name: str,
        scope: list[str] | None,
        model: list[str],
        address: list[str],
        expires: str | None,
        **options: Any,
    ) -> Answer:
        made = api_keys.create(
            people.find(user),
            name=name,
            scopes=scope,
            models=model,
            addresses=address,
            expires_at=_time(expires),
            actor=None,
        )
        return _row(made.row) | {"key": made.text}

    def revoke(self, *, id: UUID, **options: Any) -> Answer:  # noqa: A002 what is typed
        key = ApiKey.objects.filter(pk=id, revoked_at=None).select_related("user").first()
        if key is None or not people.revoke_key(key, actor=None):
            raise NotFound(_("There is no such key, or it was revoked before."))
        return {"id": str(key.pk), "user": key.user.username, "revoked": True}


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = moment(text)
    if found is None:
        raise usage_error(_("This is no time: %(text)s") % {"text": text})
    return found


def _row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": str(key.pk),
        "user": key.user.username,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "models": key.models,
        "addresses": key.addresses,
        "expires_at": key.expires_at and key.expires_at.isoformat(timespec="seconds"),
        "last_used_at": key.last_used_at and key.last_used_at.isoformat(timespec="seconds"),
    }
