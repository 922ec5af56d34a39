"""How a command gets a password: never as an argument, which everyone on the machine can see."""

from __future__ import annotations

import getpass
import sys

from django.utils.translation import gettext as _

from common.commands import ask, usage_error


def given_password(*, from_input: bool) -> str:
    """The first line of the input, or what somebody types twice. Raises a usage error."""
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise usage_error(_("%(option)s is missing.") % {"option": "--password-stdin"})
    password = ask(_("Password") + ": ", read=getpass.getpass)
    if ask(_("Password, again") + ": ", read=getpass.getpass) != password:
        raise usage_error(_("The two passwords differ."))
    return password
