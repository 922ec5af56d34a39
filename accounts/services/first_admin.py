"""The administrator that the environment names comes to be, where there is none yet."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import Role, User
from accounts.services import people, registration
from common.db import write_transaction
from common.errors import Invalid


def check() -> None:
    """Raise Invalid, naming the fields, when the environment names half an administrator or one
    who cannot be, and there is none yet. Later nobody needs them: the password is to be removed.
    """
    given = {
        "username": settings.ADMIN_USERNAME,
        "email": settings.ADMIN_EMAIL,
        "password": settings.ADMIN_PASSWORD,
    }
    if not any(given.values()):
        return
    try:
        registration.valid_person(**given)
    except Invalid as refusal:
        if not _exists():
            missing = {name: [_("it is missing")] for name, value in given.items() if not value}
            raise Invalid(errors=(refusal.errors or {}) | missing) from None


def ensure() -> User | None:
    """Make them; None where there is one, or where nobody is named. Raises Invalid.

    Several processes may start at once: one makes it, the others find it made.
    """
    if not (settings.ADMIN_USERNAME and settings.ADMIN_EMAIL and settings.ADMIN_PASSWORD):
        return None
    if _exists():
        return None
    try:
        user = registration.prepare_person(
            username=settings.ADMIN_USERNAME,
            email=settings.ADMIN_EMAIL,
            password=settings.ADMIN_PASSWORD,
        )
        with write_transaction():
            people.lock_administration()
            return None if _exists() else registration.insert_person(user, roles=[Role.ADMIN])
    except Invalid:
        if _exists():  # the name is taken, by the one that another process made
            return None
        raise


def _exists() -> bool:
    """A suspended one is one, too: nobody gets back in by a restart."""
    return User.objects.filter(groups__name=Role.ADMIN).exists()
