"""What commands about limits take: whose they are, and until when."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.models import ApiKey
from accounts.services import people
from common.commands import moment, usage_error
from common.errors import NotFound
from quotas.periods import midnight
from quotas.services import subjects
from quotas.services.subjects import Subject

# The last whose end is a moment that a clock of any time zone can tell.
_LAST_DAY = date.max - timedelta(days=2)


def add_subjects(parser: Any) -> None:
    """Arguments for `chosen`: people by name, or one of the options."""
    parser.add_argument("users", nargs="*", metavar="USER", help=_("User name or e-mail."))
    parser.add_argument("--group", metavar="NAME", help=_("What a role shares."))
    parser.add_argument("--key", type=an_id, metavar="ID", help=_("An API key, by its id."))
    parser.add_argument("--deployment", action="store_true", help=_("The whole deployment."))


def chosen(
    *, users: list[str], group: str | None, key: UUID | None, deployment: bool
) -> list[Subject]:
    """Whom these arguments mean; raises NotFound, Invalid, and a usage error unless they mean
    people or one thing."""
    if (bool(users), group is not None, key is not None, deployment).count(True) != 1:
        raise usage_error(_("Say whose: USER, --group, --key or --deployment."))
    if group is not None:
        return [subjects.role(subjects.group_named(group))]
    if key is not None:
        return [subjects.api_key(_key(key))]
    if deployment:
        return [subjects.DEPLOYMENT]
    return [subjects.person(people.find(name)) for name in users]


def called(subject: Subject) -> str:
    return subject.label or subject.kind


def _key(key_id: UUID) -> ApiKey:
    found = ApiKey.objects.filter(pk=key_id, revoked_at=None).first()
    if found is None:
        raise NotFound(_("There is no such key, or it was revoked before."))
    return found


def an_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(_("This is not an id.")) from None


def a_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(_("Use a date like 2030-01-31.")) from None


def a_moment(text: str) -> datetime:
    """A day is meant to its end; both by the clock of the deployment, unless they say otherwise."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        return midnight(min(day, _LAST_DAY) + timedelta(days=1))
    found = moment(text)
    if found is None:
        raise ArgumentTypeError(_("Use a date like 2030-01-31."))
    return found
