"""For whom a command acts: the person named, or the only one there is."""

from __future__ import annotations

from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import people
from accounts.services.callers import Caller
from common.commands import usage_error
from common.errors import NotFound, PermissionDenied

# Of so many people at most the names are listed.
_MOST_NAMED = 10


def caller_named(name: str | None) -> Caller:
    """The caller with all rights of that person; whoever runs the deployment may be anyone.

    Raises NotFound, PermissionDenied (suspended), and a usage error where a name is needed.
    """
    user = people.find(name) if name else _only_person()
    if not user.is_active:
        raise PermissionDenied(
            _("%(name)s is suspended. To change that: manage.py user activate %(name)s")
            % {"name": user.username}
        )
    return Caller(user, None)


def _only_person() -> User:
    found = list(User.objects.active().order_by("username_key")[: _MOST_NAMED + 1])
    if not found:
        raise NotFound(_("There is nobody here yet. Make an account first: manage.py create_admin"))
    if len(found) == 1:
        return found[0]
    names = [user.username for user in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        names.append("…")
    raise usage_error(_("Who is asking? Add --user NAME: %(names)s") % {"names": ", ".join(names)})
