from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.management.passwords import given_password
from accounts.services import passwords, people, profile
from common.commands import Answer, CliCommand


class Command(CliCommand):
    """In place of Django's own, which would leave every device signed in, and no trace."""

    about = gettext_lazy("Give a person a new password; every device of theirs is signed out.")
    examples = ("manage.py changepassword mina",)

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name", help=_("User name or e-mail."))
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help=_("Read the password from the first line of the input."),
        )

    def run(self, *, name: str, password_stdin: bool, **options: Any) -> Answer:
        user = people.find(name)
        password = given_password(from_input=password_stdin)
        passwords.check_new(password, user=user)
        profile.store_password(user, password, actor=None)
        return {"id": str(user.pk), "username": user.username}
