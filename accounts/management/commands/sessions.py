from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import SignIn
from accounts.services import people, sign_ins
from common.commands import Answer, CliGroup, how_many, usage_error
from common.errors import NotFound


class Command(CliGroup):
    about = gettext_lazy("List the devices on which people are signed in, and sign them out.")
    examples = (
        "manage.py sessions list --user mina",
        "manage.py sessions revoke mina",
        "manage.py sessions revoke mina --session 01a1f2c0-3b7e-7c1d-9f00-5d2c8e9a4b10",
        "manage.py sessions revoke --everyone",
    )

    def add_commands(self) -> None:
        listing = self.add("list", self.list_sessions, help=_("Devices, the newest first."))
        listing.add_argument(
            "--user", metavar="NAME", help=_("Only those of this person: user name or e-mail.")
        )
        listing.add_argument(
            "--limit", type=how_many, default=100, help=_("How many at most (100).")
        )
        ending = self.add(
            "revoke",
            self.revoke,
            help=_("End tokens, sockets and streams at once; API keys stay."),
        )
        ending.add_argument("name", nargs="?", help=_("User name or e-mail."))
        ending.add_argument(
            "--session", type=UUID, metavar="ID", help=_("Only the device with this id.")
        )
        ending.add_argument("--everyone", action="store_true", help=_("All devices of everybody."))

    def list_sessions(self, *, user: str | None, limit: int, **options: Any) -> Answer:
        found = SignIn.objects.live().select_related("user").order_by("-id")
        if user:
            found = found.filter(user=people.find(user))
        return [_row(sign_in) for sign_in in found[: max(limit, 0)]]

    def revoke(
        self, *, name: str | None, session: UUID | None, everyone: bool, **options: Any
    ) -> Answer:
        if everyone == bool(name) or (everyone and session):
            raise usage_error(_("Name a person, or say --everyone."))
        if name is None:
            return {"revoked": sign_ins.sign_out_everyone(actor=None)}
        user = people.find(name)
        ended = people.sign_out(user, actor=None, only=session)
        if session and not ended:
            raise NotFound(_("This person has no such device."))
        return {"user": user.username, "revoked": ended}


def _row(sign_in: SignIn) -> dict[str, Any]:
    return {
        "id": str(sign_in.pk),
        "user": sign_in.user.username,
        "client": sign_in.client,
        "address": sign_in.address,
        "created_at": sign_in.created_at.isoformat(timespec="seconds"),
        "last_used_at": sign_in.last_used_at.isoformat(timespec="seconds"),
    }
