"""People who sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.names import EMAIL_CHARACTERS, clean_email, clean_username, fold
from common.models import Record

if TYPE_CHECKING:
    from collections.abc import Iterable


class Role(models.TextChoices):
    """The seeded groups, the mightiest first. A group's permissions may be changed by people."""

    ADMIN = "admin", _("Administrator")
    SUPERVISOR = "supervisor", _("Supervisor")
    AGENT = "agent", _("Agent")
    MEMBER = "member", _("Member")

    @classmethod
    def told(cls, name: str) -> str:
        """What people read for a role of this name: those that people made have but the one."""
        return str(cls(name).label) if name in cls.values else name


class UserQuerySet(models.QuerySet["User"]):
    def active(self) -> UserQuerySet:
        return self.filter(is_active=True)

    def administrators(self) -> UserQuerySet:
        """Those whom nobody could replace if the last of them were gone."""
        return self.active().filter(groups__name=Role.ADMIN)

    def named(self, name: str) -> UserQuerySet:
        """By user name or, with an `@` in it, by e-mail address; at most one."""
        return self.filter(**{"email_key" if "@" in name else "username_key": fold(name)})

    def matching(self, text: str) -> UserQuerySet:
        """Those with `text` somewhere in their user name, e-mail address or display name."""
        key = fold(text)
        return self.filter(
            Q(username_key__contains=key)
            | Q(email_key__contains=key)
            | Q(display_name__icontains=text)
        )


class UserManager(BaseUserManager["User"]):
    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def active(self) -> UserQuerySet:
        return self.get_queryset().active()

    def administrators(self) -> UserQuerySet:
        return self.get_queryset().administrators()

    def named(self, name: str) -> UserQuerySet:
        return self.get_queryset().named(name)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(username_key=fold(username or ""))

    def create_user(
        self, username: str, email: str, password: str | None = None, **fields: Any
    ) -> User:
        """A row and nothing else; people are made by `accounts.services.registration`."""
        user = self.model(username=clean_username(username), email=clean_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin, Record):
    """Somebody who signs in: a member of the team, not a customer of the desk."""

    username = models.CharField(_("user name"), max_length=64, unique=True)
    # Casefolding makes up to three characters of one.
    username_key = models.CharField(max_length=192, unique=True, editable=False)
    email = models.CharField(_("e-mail"), max_length=EMAIL_CHARACTERS)
    email_key = models.CharField(max_length=3 * EMAIL_CHARACTERS, unique=True, editable=False)
    email_verified_at = models.DateTimeField(_("e-mail verified at"), null=True, blank=True)
    pending_email = models.CharField(
        _("new e-mail, not yet confirmed"), max_length=EMAIL_CHARACTERS, blank=True
    )
    display_name = models.CharField(_("display name"), max_length=80, blank=True)
    language = models.CharField(_("language"), max_length=10, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, blank=True)
    preferences = models.JSONField(_("preferences"), default=dict, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("may open the admin"), default=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")

    def __str__(self) -> str:
        return self.username

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        self.username_key, self.email_key = fold(self.username), fold(self.email)
        if update_fields is not None:
            named = set(update_fields)
            update_fields = named | {f"{name}_key" for name in named & {"username", "email"}}
        super().save(*args, update_fields=update_fields, **kwargs)

    @property
    def name(self) -> str:
        """How others see this person."""
        return self.display_name or self.username

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name

    def get_session_auth_hash(self) -> str:
        # A password change revokes sign-ins one by one and spares the calling one, so the
        # session must not hang on the password a second time.
        return salted_hmac("accounts.session", str(self.pk), algorithm="sha256").hexdigest()
