"""What is done to people by others: making, roles, suspension, signing out, erasing (M5, S4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import Group
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from accounts.models import ApiKey, AuditAction, Letter, Role, User
from accounts.services import api_keys, audit, mails, recovery, registration, sign_ins
from accounts.signals import user_erasing
from common.db import write_transaction
from common.errors import Conflict, NotFound, PermissionDenied

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


def check_may(actor: User | None, action: str) -> None:
    """Raise PermissionDenied unless `actor` may `view`, `add`, `change` or `delete` people at all.

    `actor` None is whoever runs the deployment, by a command.
    """
    if actor is not None and not actor.has_perm(f"accounts.{action}_user"):
        raise PermissionDenied


def create(
    *, username: str, email: str, password: str, roles: Collection[str], actor: User | None
) -> User:
    """Somebody who can sign in at once. Raises Invalid, and PermissionDenied where the actor may
    not make people, or not with these roles."""
    check_may(actor, "add")
    check_holds(actor, roles)
    return registration.create_person(
        username=username, email=email, password=password, roles=roles, actor=actor
    )


def change(
    user: User,
    *,
    actor: User | None,
    roles: Collection[str] | None = None,
    is_active: bool | None = None,
) -> User:
    """Give exactly these roles, suspend or activate; all of it or nothing. Raises as these do."""
    with write_transaction():
        if roles is not None:
            user = set_roles(user, roles, actor=actor)
        if is_active is not None:
            user = (activate if is_active else suspend)(user, actor=actor)
    return user


def set_roles(user: User, roles: Collection[str], *, actor: User | None) -> User:
    """Give exactly these roles.

    Raises PermissionDenied when the actor does not hold what is given or taken away, Conflict
    when nobody would be left to administrate, NotFound when the person was erased meanwhile.
    """
    groups = registration.groups_named(roles)
    wanted = {group.name for group in groups}
    with write_transaction():
        user = held(user, actor=actor)
        present = {group.name for group in user.groups.all()}
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
    """Nothing of theirs works any more: tokens, sockets, sessions, API keys, mailed links."""
    with write_transaction():
        user = held(user, actor=actor)
        check_not_last_administrator(user)
        recovery.forget_links(user.pk)
        sign_ins.revoke(user.pk)
        api_keys.revoke_all(user.pk)
        _set_active(user, False, AuditAction.USER_SUSPENDED, actor=actor)
    return user


def activate(user: User, *, actor: User | None) -> User:
    """They may sign in again; what was revoked stays so."""
    with write_transaction():
        user = held(user, actor=actor)
        _set_active(user, True, AuditAction.USER_ACTIVATED, actor=actor)
    return user


def _set_active(user: User, is_active: bool, action: AuditAction, *, actor: User | None) -> None:
    was = user.is_active
    user.is_active = is_active
    user.save(update_fields=["is_active"])
    audit.record(
        action,
        actor=actor,
        target=audit.person(user),
        before={"is_active": was},
        after={"is_active": is_active},
    )


def sign_out(user: User, *, actor: User | None, only: UUID | None = None) -> int:
    """End every device of a person, or `only` one; how many were signed out."""
    check_may_manage(actor, user)
    return sign_ins.sign_out(user, actor=actor, only=only)


def revoke_key(key: ApiKey, *, actor: User | None) -> bool:
    """End an API key of somebody; False where it had ended already."""
    check_may_manage(actor, key.user)
    return api_keys.revoke(key, actor=actor)


def send_reset_link(user: User, *, actor: User | None) -> User:
    """Mail them a link to set a new password. Raises PermissionDenied, NotFound, and Conflict for
    the suspended, to whom none is sent."""
    with write_transaction():
        user = held(user, actor=actor)
        if not user.is_active:
            raise Conflict(_("A suspended person gets no link. Activate them first."))
        mails.post(Letter.RESET, address=user.email)
        audit.record(AuditAction.PASSWORD_LINK, actor=actor, target=audit.person(user))
    return user


def erase(user: User, *, actor: User | None) -> None:
    """Remove a person and all that is personal, in every app, or nothing at all.

    Of the audit trail only the names go: an id that is nobody's stays. Raises Conflict for the
    last administrator, PermissionDenied where the actor is neither the person nor above them.
    """
    user_id = user.pk
    is_self = actor is not None and actor.pk == user_id
    with write_transaction():
        user = held(user, actor=None if is_self else actor, action="delete")
        check_not_last_administrator(user)
        user_erasing.send(User, user=user)
        audit.record(AuditAction.USER_ERASED, actor=actor, target=audit.person(user))
        mails.forget(user.email)
        user.delete()
        audit.forget_person(user_id)


def held(user: User, *, actor: User | None, action: str = "change") -> User:
    """The person as they are now, who stays so until the transaction ends.

    Raises NotFound when they are gone, PermissionDenied when the actor may not manage them: asked
    here, so that nobody whom another administrator raises meanwhile is touched by those below.
    """
    lock_administration()
    found = User.objects.select_for_update().filter(pk=user.pk).first()
    if found is None:
        raise NotFound
    check_may_manage(actor, found, action)
    return found


def check_may_manage(actor: User | None, user: User, action: str = "change") -> None:
    """Raise PermissionDenied unless `actor` may do this to people, and to those of this rank."""
    check_may(actor, action)
    check_holds(actor, roles_of(user))


def check_not_last_administrator(user: User) -> None:
    """Raise Conflict when, without `user`, nobody would be left. Within a transaction only."""
    lock_administration()
    administrators = User.objects.administrators()
    if administrators.filter(pk=user.pk).exists() and administrators.count() == 1:
        raise Conflict(_("The last administrator stays. Make another one first."))


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many people there are. Whoever has two roles counts for both."""

    total: int
    active: int
    by_role: dict[str, int]


def statistics() -> Statistics:
    counts = User.objects.aggregate(total=Count("pk"), active=Count("pk", filter=Q(is_active=True)))
    roles = dict.fromkeys(_RANKS, 0) | dict(
        Group.objects.order_by("name").values_list("name").annotate(Count("user"))
    )
    return Statistics(counts["total"], counts["active"], roles)


def check_holds(actor: User | None, roles: Iterable[str]) -> None:
    """Raise PermissionDenied when `actor` may not give or take one of `roles`."""
    if actor is None or actor.is_superuser:
        return
    own = roles_of(actor)
    ranks = [_RANKS.index(name) for name in own if name in _RANKS]
    implied = set(_RANKS[min(ranks) :]) if ranks else set()
    if set(roles) - implied - set(own):
        raise PermissionDenied(_("You can only give and take roles that you hold."))


def lock_administration() -> None:
    """Until the transaction ends nobody else changes who administrates.

    Two administrators who remove each other at once: the second waits, then is refused."""
    registration.groups_named([Role.ADMIN])
    Group.objects.select_for_update().get(name=Role.ADMIN)
