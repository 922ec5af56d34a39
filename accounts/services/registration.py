"""How people come to be."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from constance import config
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils.translation import gettext as _

from accounts.errors import RegistrationClosed
from accounts.models import AuditAction, Role, SignIn, User
from accounts.names import clean_email, clean_username, fold
from accounts.services import audit, passwords, sign_ins
from common import rates
from common.addresses import address_key
from common.db import write_transaction
from common.errors import Conflict, Invalid
from common.text import excerpt


def is_open() -> bool:
    """May newcomers make an account?"""
    return bool(config.registration_open) and not settings.SINGLE_USER


def check_open(*, address: str) -> None:
    """Raise RegistrationClosed, or RateLimited; before anything else is looked at (S15)."""
    if not is_open():
        raise RegistrationClosed
    rates.hit("register", address_key(address))


def register(
    *, username: str, email: str, password: str, client: str = "", address: str = ""
) -> SignIn:
    """A newcomer, who is a member and nothing more, and the device that they came with."""
    user = prepare_person(username=username, email=email, password=password)
    with write_transaction():
        insert_person(user, roles=[Role.MEMBER], actor=user)
        return sign_ins.open_for(user, client=client, address=address)


def create_person(
    *,
    username: str,
    email: str,
    password: str,
    roles: Collection[str] = (Role.MEMBER,),
    actor: User | None = None,
) -> User:
    """Somebody made by others, whoever may (`people.create`). Raises Invalid."""
    user = prepare_person(username=username, email=email, password=password)
    return insert_person(user, roles=roles, actor=actor)


def prepare_person(*, username: str, email: str, password: str | None) -> User:
    """A valid person with a hashed password, not yet stored; None is one who cannot sign in by
    password. Raises Invalid, naming all fields."""
    user = valid_person(username=username, email=email, password=password)
    if password is None:
        user.set_unusable_password()
    else:
        user.password = passwords.hash_password(password)
    return user


def valid_person(*, username: str, email: str, password: str | None) -> User:
    """The same without the hash, which is dear."""
    errors: dict[str, list[str]] = {}
    user = User()
    try:
        user.username = clean_username(username)
    except ValidationError as error:
        errors["username"] = error.messages
    try:
        user.email = clean_email(email)
    except ValidationError as error:
        errors["email"] = error.messages
    try:
        if password is not None:
            passwords.check_new(password, user=user)
    except Invalid as error:
        errors |= error.errors or {}
    errors = _taken(user) | errors
    if errors:
        raise _invalid(errors)
    return user


def insert_person(user: User, *, roles: Iterable[str], actor: User | None = None) -> User:
    """Store `user` with `roles`; raises Invalid when the name was taken a moment ago, Conflict
    for a second person where there is to be one."""
    if settings.SINGLE_USER and User.objects.exists():
        raise Conflict(_("This is for one person (SINGLE_USER)."))
    groups = groups_named(roles)
    user.is_superuser = user.is_staff = any(group.name == Role.ADMIN for group in groups)
    try:
        with write_transaction():
            user.save(force_insert=True)
            user.groups.set(groups)
            audit.record(
                AuditAction.USER_CREATED,
                actor=actor,
                target=audit.person(user),
                after={"roles": sorted(group.name for group in groups)},
            )
    except IntegrityError as error:
        if taken := _taken(user):
            raise _invalid(taken) from error
        raise
    return user


def groups_named(roles: Iterable[str], *, field: str = "roles") -> list[Group]:
    """The groups of these names, one at least; raises Invalid for one that does not exist.

    The four roles always exist: a deleted one comes back, without permissions.
    """
    names = set(roles)
    if not names:
        raise Invalid.field(field, _("Give at least one role."))
    groups = {group.name: group for group in Group.objects.filter(name__in=names)}
    for name in sorted(names - groups.keys()):
        if name not in Role.values:
            raise Invalid.field(
                field, _("There is no role called %(name)s.") % {"name": excerpt(name)}
            )
        groups[name], _made = Group.objects.get_or_create(name=name)
    return list(groups.values())


def _taken(user: User) -> dict[str, list[str]]:
    errors = {}
    if user.username and User.objects.filter(username_key=fold(user.username)).exists():
        errors["username"] = [_("This name is taken.")]
    if user.email and User.objects.filter(email_key=fold(user.email)).exists():
        errors["email"] = [_("This address belongs to an account already.")]
    return errors


def _invalid(errors: dict[str, list[str]]) -> Invalid:
    return Invalid(next(iter(errors.values()))[0], errors=dict(errors))
