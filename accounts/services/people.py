"""What is done to people by others: roles, suspension, signing out (M5, S4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.utils.translation import gettext as _

from accounts.models import AuditAction, Letter, Role, User
from accounts.services import audit, mails, recovery, registration, sign_ins
from common.db import write_transaction
from common.errors import Conflict, Invalid, NotFound, PermissionDenied

# Whoever holds one of these holds those after it, too.
_RANKS = [role.value for role in Role]


def roles_of(user: User) -> list[str]:
    """Names of the person's groups, the mightiest role first."""
    names = [group.name for group in user.groups.all()]
    return sorted(names, key=lambda name: (_RANKS.index(name) if name in _RANKS else 99, name))


def find(name: str) -> User:
    """By user name or e-mail; raises NotFound."""
    user = User.objects.named(name).first()
    if user is None:
        raise NotFound(_("There is nobody of that name."))
    return user


def set_roles(user: User, roles: Collection[str], *, actor: User | None) -> User:
    """Give exactly these roles. `actor` None is whoever runs the deployment, by a command.

    Raises PermissionDenied when the actor does not hold what is given or taken away, Conflict
    when nobody would be left to administrate.
    """
    if not roles:
        raise Invalid.field("roles", _("Give at least one role."))
    groups = registration.groups_named(roles)
    wanted = {group.name for group in groups}
    with write_transaction():
        _lock_administration()
        user = User.objects.select_for_update().get(pk=user.pk)
        present = {group.name for group in user.groups.all()}
        check_may_manage(actor, user)
        check_holds(actor, wanted ^ present)
        if Role.ADMIN in present - wanted:
            check_not_last_administrator(user)
        user.groups.set(groups)
        user.is_superuser = user.is_staff = Role.ADMIN in wanted
        user.save(update_fields=["is_superuser", "is_staff"])
        audit.record(
            AuditAction.USER_ROLES,
            actor=actor,
            target=audit.person(user),
            before={"roles": sorted(present)},
            after={"roles": sorted(wanted)},
        )
    return user


def suspend(user: User, *, actor: User | None) -> User:
    """Nothing of theirs works any more: tokens, sockets, sessions, mailed links."""
    check_may_manage(actor, user)
    with write_transaction():
        check_not_last_administrator(user)
        changed = User.objects.active().filter(pk=user.pk).update(is_active=False)
        recovery.forget_links(user.pk)
        sign_ins.revoke(user.pk)
        if changed:
            audit.record(AuditAction.USER_SUSPENDED, actor=actor, target=audit.person(user))
    user.is_active = False
    return user


def activate(user: User, *, actor: User | None) -> User:
    """They may sign in again; what was revoked stays so."""
    check_may_manage(actor, user)
    with write_transaction():
        if User.objects.filter(pk=user.pk, is_active=False).update(is_active=True):
            audit.record(AuditAction.USER_ACTIVATED, actor=actor, target=audit.person(user))
    user.is_active = True
    return user


def change_email(user: User, email: str, *, actor: User | None) -> User:
    """Set an address that nobody has confirmed. Raises Invalid, Conflict."""
    check_may_manage(actor, user)
    address = registration.free_email(email, user=user)
    if address != user.email:
        store_email(user, address, verified_at=None, actor=actor)
    return user


def store_email(
    user: User, address: str, *, verified_at: datetime | None, actor: User | None
) -> None:
    """Store it, tell the old address, and end every mailed link.

    Raises Conflict when the address became somebody else's since it was looked up.
    """
    old = user.email
    try:
        with write_transaction():
            user.email, user.pending_email, user.email_verified_at = address, "", verified_at
            user.save(update_fields=["email", "email_verified_at"])
            recovery.forget_links(user.pk)
            mails.post(Letter.EMAIL_CHANGED, address=old, user=user)
            audit.record(AuditAction.USER_EMAIL, actor=actor, target=audit.person(user))
    except IntegrityError as error:
        raise Conflict(_("This address belongs to another account by now.")) from error


def sign_out(user: User, *, actor: User | None, only: UUID | None = None) -> int:
    """End every device of a person, or `only` one; how many were signed out."""
    check_may_manage(actor, user)
    return sign_ins.sign_out(user, actor=actor, only=only)


def check_may_manage(actor: User | None, user: User) -> None:
    """Raise PermissionDenied unless `actor` may change people and ranks no lower than `user`."""
    if actor is None or actor.is_superuser:
        return
    if not actor.has_perm("accounts.change_user"):
        raise PermissionDenied
    check_holds(actor, roles_of(user))


def check_not_last_administrator(user: User) -> None:
    """Raise Conflict when, without `user`, nobody would be left. Within a transaction only."""
    _lock_administration()
    administrators = User.objects.administrators()
    if administrators.filter(pk=user.pk).exists() and administrators.count() == 1:
        raise Conflict(_("The last administrator stays. Make another one first."))


def create_administrator(*, username: str, email: str, password: str) -> User:
    """An administrator, made by whoever runs the deployment. Raises Invalid."""
    return registration.create_person(
        username=username, email=email, password=password, roles=[Role.ADMIN]
    )


def ensure_first_admin() -> User | None:
    """Make the administrator that the environment names, if there is none yet; raises Invalid.

    Several processes may start at once: one makes it, the others find it made.
    """
    if not (settings.ADMIN_USERNAME and settings.ADMIN_EMAIL and settings.ADMIN_PASSWORD):
        return None
    if _has_administrator():
        return None
    try:
        user = registration.prepare_person(
            username=settings.ADMIN_USERNAME,
            email=settings.ADMIN_EMAIL,
            password=settings.ADMIN_PASSWORD,
        )
        with write_transaction():
            _lock_administration()
            return (
                None
                if _has_administrator()
                else registration.insert_person(user, roles=[Role.ADMIN])
            )
    except Invalid:
        if _has_administrator():  # the name is taken, by the one that another process made
            return None
        raise


def _has_administrator() -> bool:
    return User.objects.filter(groups__name=Role.ADMIN).exists()


def check_holds(actor: User | None, roles: Iterable[str]) -> None:
    """Raise PermissionDenied when `actor` may not give or take one of `roles`."""
    if actor is None or actor.is_superuser:
        return
    held = roles_of(actor)
    ranks = [_RANKS.index(name) for name in held if name in _RANKS]
    implied = set(_RANKS[min(ranks) :]) if ranks else set()
    if set(roles) - implied - set(held):
        raise PermissionDenied(_("You can only give and take roles that you hold."))


def _lock_administration() -> None:
    """Two administrators who remove each other at once: the second waits, then is refused."""
    registration.groups_named([Role.ADMIN])
    Group.objects.select_for_update().get(name=Role.ADMIN)
