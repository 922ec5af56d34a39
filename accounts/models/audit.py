"""Who did what, to what, when and from where: rows that are added and never changed (M7)."""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import Role
from common.models import Record
from common.sources import ADDRESS_CHARACTERS, CLIENT_CHARACTERS

LABEL_CHARACTERS = 200


class AuditAction(models.TextChoices):
    """The words never change: programs and old rows speak them."""

    SIGN_IN = "sign_in.succeeded", _("Signed in")
    SIGN_IN_REFUSED = "sign_in.refused", _("Sign-in refused")
    SIGN_IN_LOCKED = "sign_in.locked", _("Locked out after too many tries")
    SIGN_IN_UNLOCKED = "sign_in.unlocked", _("Count of failed sign-ins forgotten")
    SESSION_REVOKED = "session.revoked", _("Signed out")
    PASSWORD_CHANGED = "password.changed", _("Password changed")
    PASSWORD_LINK = "password.link_sent", _("Link for a new password sent")
    PASSWORD_RESET = "password.reset", _("Password set by a mailed link")
    PASSWORD_REFUSED = "password.refused", _("Password refused to somebody signed in")
    USER_CREATED = "user.created", _("Person made")
    USER_ROLES = "user.roles_changed", _("Roles of a person changed")
    USER_SUSPENDED = "user.suspended", _("Person suspended")
    USER_ACTIVATED = "user.activated", _("Person activated")
    USER_EMAIL = "user.email_changed", _("Address of a person changed")
    USER_ERASED = "user.erased", _("Person erased")
    KEY_CREATED = "api_key.created", _("API key made")
    KEY_REVOKED = "api_key.revoked", _("API key revoked")
    ROLE_CHANGED = "role.changed", _("Permissions of a role changed")
    ROLE_DELETED = "role.deleted", _("Role deleted")
    CONNECTION_CREATED = "connection.created", _("Connection made")
    CONNECTION_CHANGED = "connection.changed", _("Connection changed")
    CONNECTION_KEY = "connection.key_replaced", _("Key of a connection replaced")
    CONNECTION_DELETED = "connection.deleted", _("Connection deleted")
    MODEL_CREATED = "model.created", _("Model made")
    MODEL_CHANGED = "model.changed", _("Model changed")
    MODEL_ACCESS = "model.access_changed", _("Access to a model changed")
    MODEL_DELETED = "model.deleted", _("Model deleted")
    SETTINGS_CHANGED = "settings.changed", _("Settings changed")
    PLAN_CREATED = "plan.created", _("Plan made")
    PLAN_CHANGED = "plan.changed", _("Plan changed")
    PLAN_DELETED = "plan.deleted", _("Plan deleted")
    PLAN_ASSIGNED = "plan.assigned", _("Plan of a person or role changed")
    LIMIT_CHANGED = "limit.changed", _("Limit changed")
    LIMIT_RESET = "limit.reset", _("Limit reset")
    BOOST_GRANTED = "boost.granted", _("More granted for a time")
    BOOST_TAKEN_BACK = "boost.taken_back", _("What was granted taken back")
    CONVERSATION_READ = "conversation.read", _("Another's conversation read")
    CONVERSATION_TITLES = "conversation.titles_read", _("Titles of others' conversations read")
    CONVERSATION_DELETED = "conversation.deleted", _("Another's conversation deleted")
    TURN_STOPPED = "turn.stopped", _("Another's answer stopped")
    SHARE_REVOKED = "share.revoked", _("Another's share revoked")


class TargetKind(models.TextChoices):
    """What something was done to. The words never change, either."""

    USER = "user", _("Person")
    SESSION = "session", _("Device")
    KEY = "api_key", _("API key")
    FAILED_SIGN_INS = "failed_sign_ins", _("Failed sign-ins")
    ROLE = "role", _("Role")
    SETTINGS = "settings", _("Settings")
    CONNECTION = "connection", _("Connection")
    MODEL = "model", _("Model")
    PLAN = "plan", _("Plan")
    INBOX = "inbox", _("Inbox")
    DEPLOYMENT = "deployment", _("Deployment")
    CONVERSATION = "conversation", _("Conversation")
    TURN = "turn", _("Turn")


_BY_NOBODY = {AuditAction.SIGN_IN_REFUSED, AuditAction.SIGN_IN_LOCKED}


class AppendOnly(Exception):
    """A bug: somebody tried to change the audit trail."""


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    """Rows are added. Two acts pass the database's triggers: `forget_person`, and the purge of old
    rows (`accounts.services.audit.drop`)."""

    def forget_person(self, user_id: UUID) -> None:
        """Empty the name, address and client of an erased person; an id that is nobody's any more
        stays, so that what was done by one hand is still seen to be (G4)."""
        theirs = self.filter(actor_id=user_id)
        models.QuerySet.update(theirs, actor_name="", address="", client="")
        about = self.filter(target_kind=TargetKind.USER, target_id=str(user_id))
        models.QuerySet.update(about, target_label="")
        # Nobody was signed in: they themselves, as far as anyone knows.
        models.QuerySet.update(about.filter(actor_id=None), address="", client="")

    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnly

    def delete(self) -> NoReturn:
        raise AppendOnly

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly


class AuditEntry(Record):
    """One thing that was done, as it was known at that moment.

    The actor is kept as id and name, not as a foreign key, so that the row outlives them; null is
    the deployment itself (its start, its command line, a job) or, where signing in was refused,
    nobody. E-mail addresses, texts of people and secrets are in no column.
    """

    action = models.CharField(_("action"), max_length=40)
    actor_id = models.UUIDField(_("actor's id"), null=True)
    actor_name = models.CharField(_("actor"), max_length=LABEL_CHARACTERS, blank=True)
    target_kind = models.CharField(_("kind"), max_length=40, blank=True)
    target_id = models.CharField(_("target's id"), max_length=64, blank=True)
    target_label = models.CharField(_("target"), max_length=LABEL_CHARACTERS, blank=True)
    before = models.JSONField(_("before"), default=dict)
    after = models.JSONField(_("after"), default=dict)
    address = models.CharField(_("address"), max_length=ADDRESS_CHARACTERS, blank=True)
    client = models.CharField(_("client"), max_length=CLIENT_CHARACTERS, blank=True)
    request_id = models.CharField(_("request"), max_length=64, blank=True)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["created_at"], name="audit_by_time"),  # the purge
            # The admin's and the command's filters, the newest first.
            models.Index(fields=["action", "id"], name="audit_by_action"),
            models.Index(fields=["actor_id", "id"], name="audit_by_actor"),
            models.Index(fields=["target_id", "id"], name="audit_by_target"),
        ]

    @property
    def who(self) -> str:
        if self.actor_id:
            return self.actor_name or str(self.actor_id)
        return str(_("nobody") if self.action in _BY_NOBODY else _("Parley"))

    @property
    def what(self) -> str:
        known = self.action in AuditAction.values
        return str(AuditAction(self.action).label) if known else self.action

    @property
    def kind(self) -> str:
        known = self.target_kind in TargetKind.values
        return str(TargetKind(self.target_kind).label) if known else self.target_kind

    @property
    def label(self) -> str:
        is_role = self.target_kind == TargetKind.ROLE
        return Role.told(self.target_label) if is_role else self.target_label

    def __str__(self) -> str:
        return f"{self.what} {self.label or self.target_id}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly
        super().save(*args, **kwargs | {"force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnly
