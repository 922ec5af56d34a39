from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.management.passwords import given_password
from accounts.models import Role, User
from accounts.services import email_addresses, people, registration
from common.commands import Answer, CliGroup, confirm, how_many


class Command(CliGroup):
    about = gettext_lazy(
        "List, show, make, suspend, activate and erase people, and give them roles."
    )
    examples = (
        "manage.py user list --search mina",
        "manage.py user show mina --format json",
        "manage.py user create mina mina@example.org --role agent",
        "manage.py user suspend mina@example.org",
        "manage.py user set-role mina supervisor",
        "manage.py user set-email mina mina@example.net",
        "manage.py user send-link mina",
        "manage.py user delete mina --yes",
    )

    def add_commands(self) -> None:
        listing = self.add("list", self.list_people, help=_("People, the newest first."))
        listing.add_argument(
            "--search", default="", help=_("Part of a user name, an e-mail or a display name.")
        )
        listing.add_argument("--role", help=_("Only those who have this role."))
        listing.add_argument("--suspended", action="store_true", help=_("Only suspended ones."))
        listing.add_argument(
            "--limit", type=how_many, default=100, help=_("How many at most (100).")
        )
        for name, handler, text in (
            ("show", self.show, _("One person, with their devices.")),
            ("suspend", self.suspend, _("End every sign-in of a person and let none begin.")),
            ("activate", self.activate, _("Let a suspended person sign in again.")),
            ("send-link", self.send_link, _("Mail a person a link to set a new password.")),
        ):
            self.add(name, handler, help=text).add_argument("name", help=_("User name or e-mail."))
        giving = self.add("set-role", self.set_role, help=_("Give exactly these roles."))
        giving.add_argument("name", help=_("User name or e-mail."))
        giving.add_argument("roles", nargs="+", metavar="role", help=", ".join(Role.values))
        moving = self.add(
            "set-email", self.set_email, help=_("Give a new address, and tell the old one.")
        )
        moving.add_argument("name", help=_("User name or e-mail."))
        moving.add_argument("email", help=_("E-mail address."))
        making = self.add("create", self.create, help=_("Make somebody who can sign in at once."))
        making.add_argument("username", help=_("User name."))
        making.add_argument("email", help=_("E-mail address."))
        making.add_argument(
            "--role",
            action="append",
            default=[],
            help=_("What they are; may be repeated (member)."),
        )
        making.add_argument(
            "--password-stdin",
            action="store_true",
            help=_("Read the password from the first line of the input."),
        )
        erasing = self.add(
            "delete", self.delete, help=_("Erase a person and all that is personal, for good.")
        )
        erasing.add_argument("name", help=_("User name or e-mail."))
        erasing.add_argument("--yes", action="store_true", help=_("Do not ask."))

    def list_people(
        self, *, search: str, role: str | None, suspended: bool, limit: int, **options: Any
    ) -> Answer:
        found = User.objects.get_queryset().prefetch_related("groups").order_by("-id")
        if search:
            found = found.matching(search)
        if role:
            found = found.filter(groups__in=registration.groups_named([role], field="role"))
        if suspended:
            found = found.filter(is_active=False)
        return [_row(user) for user in found[: max(limit, 0)]]

    def show(self, *, name: str, **options: Any) -> Answer:
        user = people.find(name)
        return _row(user) | {
            "display_name": user.display_name,
            "language": user.language,
            "timezone": user.timezone,
            "email_verified_at": _told(user.email_verified_at),
            "last_login_at": _told(user.last_login),
            "devices": [
                f"{sign_in.client or '-'} ({sign_in.address or '-'})"
                for sign_in in user.sign_ins.live().order_by("-id")
            ],
        }

    def suspend(self, *, name: str, **options: Any) -> Answer:
        return _row(people.suspend(people.find(name), actor=None))

    def activate(self, *, name: str, **options: Any) -> Answer:
        return _row(people.activate(people.find(name), actor=None))

    def set_role(self, *, name: str, roles: list[str], **options: Any) -> Answer:
        return _row(people.set_roles(people.find(name), roles, actor=None))

    def set_email(self, *, name: str, email: str, **options: Any) -> Answer:
        return _row(email_addresses.change(people.find(name), email, actor=None))

    def send_link(self, *, name: str, **options: Any) -> Answer:
        user = people.send_reset_link(people.find(name), actor=None)
        return {"username": user.username, "sent_to": user.email}

    def create(
        self,
        *,
        username: str,
        email: str,
        role: list[str],
        password_stdin: bool,
        **options: Any,
    ) -> Answer:
        roles = role or [Role.MEMBER]
        registration.groups_named(roles, field="role")  # before anyone types a password
        password = given_password(from_input=password_stdin)
        return _row(
            people.create(
                username=username, email=email, password=password, roles=roles, actor=None
            )
        )

    def delete(self, *, name: str, yes: bool, **options: Any) -> Answer:
        user = people.find(name)
        erased = {"id": str(user.pk), "username": user.username}
        if not yes:
            question = _("Erase %(name)s (%(email)s) and everything of theirs?")
            confirm(question % {"name": user.username, "email": user.email})
        people.erase(user, actor=None)
        return erased


def _row(user: User) -> dict[str, Any]:
    return {
        "id": str(user.pk),
        "username": user.username,
        "email": user.email,
        "roles": people.roles_of(user),
        "active": user.is_active,
        "created_at": _told(user.created_at),
    }


def _told(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
