"""Turns, and which request began which."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.conversations import MODEL_CHARACTERS, Conversation, Message
from common.models import Record

if TYPE_CHECKING:
    from accounts.models import User


class TurnQuerySet(models.QuerySet["Turn"]):
    def running(self) -> TurnQuerySet:
        return self.filter(status=Turn.Status.RUNNING)

    def over_with_log(self, user: User) -> TurnQuerySet:
        """Those of a person that have ended and may still have a log in Redis."""
        age = timedelta(seconds=settings.TURN_SECONDS + settings.TURN_LOG_REDIS_SECONDS)
        ended = self.exclude(status=Turn.Status.RUNNING)
        return ended.filter(user=user, created_at__gt=timezone.now() - age)


class Turn(Record):
    """One run of a model.

    It belongs to the process `owner`, which raises `beat` and writes `text`, `reasoning`,
    `last_seq` and `answering` (its checkpoint) together, about once a second. Without a
    conversation (`/v1`, `POST chat`, titles, summaries) the checkpoint is kept only so that a
    killed turn can be settled. What runs for the deployment has no `user`.
    """

    class Status(models.TextChoices):
        RUNNING = "running", _("Running")
        COMPLETE = "complete", _("Complete")
        STOPPED = "stopped", _("Stopped")
        INTERRUPTED = "interrupted", _("Interrupted")
        FAILED = "failed", _("Failed")

    class Purpose(models.TextChoices):
        MESSAGE = "message", _("Message")
        CHAT = "chat", _("Stateless chat")
        V1 = "v1", _("OpenAI-compatible API")
        TITLE = "title", _("Title")
        SUMMARY = "summary", _("Summary")

    # What a job has a model write, on the deployment's account.
    UNASKED = frozenset({Purpose.TITLE, Purpose.SUMMARY})

    class StopReason(models.TextChoices):
        PERSON = "person", _("A person")
        CLAIM = "claim", _("A claim")
        SHUTDOWN = "shutdown", _("Shutdown")

    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="turns",
        verbose_name=_("conversation"),
    )
    message = models.OneToOneField(
        Message,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="turn",
        verbose_name=_("message"),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="turns",
        verbose_name=_("user"),
    )
    purpose = models.CharField(_("purpose"), max_length=16, choices=Purpose.choices)
    status = models.CharField(
        _("status"), max_length=11, choices=Status.choices, default=Status.RUNNING
    )
    owner = models.CharField(_("owner"), max_length=64)
    beat = models.PositiveBigIntegerField(_("beat"), default=0)
    epoch = models.PositiveIntegerField(default=0)
    model = models.CharField(_("model asked for"), max_length=MODEL_CHARACTERS)
    # What ends the turn when the process that ran it is gone: estimate, language, and the models
    # that may answer with their frozen prices (`chat.turns.routes`). No foreign keys: the ledger
    # outlives a model, and a removed one has to find its turns.
    prompt_estimate = models.PositiveBigIntegerField(_("estimated prompt tokens"), default=0)
    language = models.CharField(_("language"), max_length=16, default="en")
    routes = models.JSONField(_("models that may answer"), default=list, editable=False)
    answering = models.PositiveSmallIntegerField(
        _("place of the one that answers"), null=True, editable=False
    )
    text = models.TextField(_("text so far"), blank=True)
    reasoning = models.TextField(_("reasoning so far"), blank=True)
    characters = models.PositiveIntegerField(_("characters so far"), default=0)
    last_seq = models.PositiveIntegerField(_("last sequence number"), default=0)
    stop_requested_at = models.DateTimeField(_("stop requested at"), null=True, blank=True)
    stop_reason = models.CharField(
        _("stop reason"), max_length=8, choices=StopReason.choices, blank=True
    )
    error_code = models.CharField(_("error code"), max_length=32, blank=True)
    error_detail = models.CharField(_("error detail"), max_length=300, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    objects = TurnQuerySet.as_manager()

    class Meta:
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        constraints = [
            # Two tabs at once: the second one meets this, whatever the timing.
            models.UniqueConstraint(
                fields=["conversation"],
                condition=models.Q(status="running"),
                name="one_running_turn_per_conversation",
            )
        ]
        indexes = [
            # Every process looks at the running ones every few seconds.
            models.Index(fields=["owner"], condition=models.Q(status="running"), name="running"),
            # What began for a person since the last look.
            models.Index(fields=["user", "created_at"], name="turns_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.status}"


class IdempotencyRecordQuerySet(models.QuerySet["IdempotencyRecord"]):
    def expired(self) -> IdempotencyRecordQuerySet:
        """Those whose time is over, and with them the answers that they keep (G5)."""
        oldest = timezone.now() - timedelta(seconds=settings.IDEMPOTENCY_SECONDS)
        return self.filter(created_at__lt=oldest)


class IdempotencyRecord(Record):
    """Which turn a caller's `Idempotency-Key` began.

    `operation` and `body_hash` tell a repetition from another request under the same key.
    `answer` is kept for turns without a conversation only: nothing else of those is stored.
    """

    sender = models.CharField(_("sender"), max_length=64)
    key = models.CharField(_("key"), max_length=255)
    operation = models.CharField(_("operation"), max_length=80)
    body_hash = models.CharField(_("hash of the body"), max_length=64)
    turn = models.ForeignKey(
        Turn, on_delete=models.CASCADE, related_name="+", verbose_name=_("turn")
    )
    answer = models.JSONField(_("answer"), null=True, blank=True)

    objects = IdempotencyRecordQuerySet.as_manager()

    class Meta:
        verbose_name = _("idempotency record")
        verbose_name_plural = _("idempotency records")
        constraints = [
            models.UniqueConstraint(fields=["sender", "key"], name="idempotency_key_is_unique")
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]

    def __str__(self) -> str:
        return f"{self.sender} {self.operation}"

    def is_expired(self) -> bool:
        """True after `settings.IDEMPOTENCY_SECONDS`: the key may be used anew."""
        age = timezone.now() - self.created_at
        return age.total_seconds() > settings.IDEMPOTENCY_SECONDS
