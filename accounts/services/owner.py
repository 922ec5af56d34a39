"""The one person of a SINGLE_USER deployment comes to be."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import Role, User
from accounts.services import people, profile, registration
from common.db import write_transaction
from common.errors import Conflict, Invalid

_NAME = "owner"
# An address that no letter leaves for; it is changed like anybody's.
_EMAIL = "owner@localhost"


def ensure() -> User:
    """The one person; made where there is nobody yet, with ADMIN_PASSWORD if there is one.

    Raises Conflict where there are more, or one who does not administrate, and Invalid for names
    and passwords that cannot be.
    """
    owner = User.objects.first() or _make()
    if (count := User.objects.count()) > 1:
        raise Conflict(
            _(
                "%(count)d people have an account here, and this is for one. Leave SINGLE_USER "
                "out, or choose another DATA_DIR or DATABASE_URL."
            )
            % {"count": count}
        )
    if not (owner.is_active and Role.ADMIN in people.roles_of(owner)):
        raise Conflict(
            _(
                "%(name)s is not an active administrator. Run: manage.py user activate %(name)s, "
                "manage.py user set-role %(name)s admin"
            )
            % {"name": owner.username}
        )
    if settings.ADMIN_PASSWORD and not owner.has_usable_password():
        profile.store_password(owner, settings.ADMIN_PASSWORD, actor=None)
    return owner


def _make() -> User:
    try:
        user = registration.prepare_person(
            username=settings.ADMIN_USERNAME or _NAME,
            email=settings.ADMIN_EMAIL or _EMAIL,
            password=settings.ADMIN_PASSWORD or None,
        )
        with write_transaction():
            people.lock_administration()
            # Several processes may start at once: one makes it, the others find it made.
            return User.objects.first() or registration.insert_person(user, roles=[Role.ADMIN])
    except Invalid:
        if (made := User.objects.first()) is not None:  # the name is taken: by the one just made
            return made
        raise
