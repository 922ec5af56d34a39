from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.management.passwords import given_password
from accounts.models import Role
from accounts.services import people
from common.commands import Answer, CliCommand, ask, usage_error


class Command(CliCommand):
    about = gettext_lazy(
        "Make an administrator. Asks for what is not given, if there is somebody to ask."
    )
    examples: ClassVar[Sequence[str]] = (
        "manage.py create_admin",
        "manage.py create_admin --username root --email root@example.org",
        "echo $PASSWORD | manage.py create_admin --username root --email r@x.org --password-stdin",
        "ADMIN_USERNAME=root ADMIN_EMAIL=r@x.org ADMIN_PASSWORD=… manage.py create_admin",
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--username", help=_("User name (ADMIN_USERNAME)."))
        parser.add_argument("--email", help=_("E-mail address (ADMIN_EMAIL)."))
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help=_("Read the password from the first line of the input; else ADMIN_PASSWORD."),
        )

    def run(
        self, *, username: str | None, email: str | None, password_stdin: bool, **options: Any
    ) -> Answer:
        user = people.create(
            username=username or settings.ADMIN_USERNAME or _ask("--username", _("User name")),
            email=email or settings.ADMIN_EMAIL or _ask("--email", _("E-mail")),
            password=_password(from_input=password_stdin),
            roles=[Role.ADMIN],
            actor=None,
        )
        return {"id": str(user.pk), "username": user.username, "email": user.email}


def _ask(option: str, label: str) -> str:
    if not sys.stdin.isatty():
        raise usage_error(_("%(option)s is missing.") % {"option": option})
    return ask(f"{label}: ").strip()


def _password(*, from_input: bool) -> str:
    if settings.ADMIN_PASSWORD and not from_input:
        return str(settings.ADMIN_PASSWORD)
    return given_password(from_input=from_input)
