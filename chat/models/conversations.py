"""Conversations and the messages in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.models import Record

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import User

# How long the name of a model may be.
MODEL_CHARACTERS = 200

_DUE_FOR_SEARCH = models.Q(title_indexed=False) | models.Q(
    indexed_position__lt=models.F("last_position")
)


_DUE_FOR_TITLE = models.Q(title_source="none", titled_position__lt=models.F("last_position"))


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def visible_to(self, user: User) -> ConversationQuerySet:
        """Those that exist for `user`: the own ones."""
        return self.filter(owner=user)

    def unfinished(self) -> ConversationQuerySet:
        """Those that an import is still writing, or that it left when it was killed."""
        return self.filter(importing_at__isnull=False)

    def due_for_search(self) -> ConversationQuerySet:
        """Those of which something was written that search does not find yet."""
        return self.filter(_DUE_FOR_SEARCH)

    def due_for_title(self) -> ConversationQuerySet:
        """Those that nobody gave a title, and that went on since a title was last looked for."""
        return self.filter(_DUE_FOR_TITLE)


_AllConversations = models.Manager.from_queryset(ConversationQuerySet)


class _WholeConversations(_AllConversations["Conversation"]):
    """What an import is still writing does not exist yet, for anybody."""

    def get_queryset(self) -> ConversationQuerySet:
        return cast("ConversationQuerySet", super().get_queryset().filter(importing_at=None))


class Conversation(Record):
    """A tree of messages between a person and models.

    `last_position` is raised by every transaction that writes to the transcript, so that commit
    order is position order. `epoch` is raised by whatever must silence a running turn.
    `tokens` and `cost` (billionths of the currency unit) sum what its turns used. Search finds
    what was written up to `indexed_position`; `titled_position` is where it stood when a title was
    last looked for, `title_tries` how often a model was asked for one. `summary_due` is the newest
    message of a branch that outgrew its model's window. `importing_at` is when an import that is
    not through yet last wrote to it; `objects` leaves such out, `with_unfinished` has them all.
    """

    class TitleSource(models.TextChoices):
        NONE = "none", _("None")
        AUTO = "auto", _("Automatic")
        USER = "user", _("A person")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="conversations",
        verbose_name=_("owner"),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    title_source = models.CharField(
        _("title by"), max_length=8, choices=TitleSource.choices, default=TitleSource.NONE
    )
    model = models.CharField(_("model"), max_length=MODEL_CHARACTERS, blank=True)
    system_prompt = models.TextField(_("system prompt"), blank=True)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    archived = models.BooleanField(_("archived"), default=False)
    pinned = models.BooleanField(_("pinned"), default=False)
    message_count = models.PositiveIntegerField(_("messages"), default=0, editable=False)
    tokens = models.PositiveBigIntegerField(_("tokens"), default=0, editable=False)
    cost = models.PositiveBigIntegerField(_("cost"), default=0, editable=False)
    last_position = models.PositiveBigIntegerField(default=0, editable=False)
    epoch = models.PositiveIntegerField(default=0, editable=False)
    indexed_position = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)
    titled_position = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)
    title_tries = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    summary_due = models.UUIDField(null=True, editable=False)
    title_indexed = models.BooleanField(default=False, db_default=False, editable=False)
    updated_at = models.DateTimeField(_("last activity"), default=timezone.now, editable=False)
    # Names what it was imported from, among all that its owner imported.
    import_key = models.CharField(max_length=64, blank=True, editable=False)
    importing_at = models.DateTimeField(null=True, editable=False)

    objects = _WholeConversations()
    with_unfinished = _AllConversations()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        # Held by nobody until somebody gives it to a role: `chat.services.private_reading`.
        permissions = [("read_others", _("Can read other people's conversations, with a reason"))]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "import_key"],
                condition=~models.Q(import_key=""),
                name="imported_once",
            )
        ]
        indexes = [
            # A person's list, newest activity first.
            models.Index(fields=["owner", "-updated_at", "-id"], name="conversations_of_owner"),
            # What the job that keeps the search index looks for every few seconds.
            models.Index(fields=["owner"], condition=_DUE_FOR_SEARCH, name="due_for_search"),
            # The same for the job that writes titles.
            models.Index(fields=["id"], condition=_DUE_FOR_TITLE, name="due_for_title"),
            # And for the one that writes summaries.
            models.Index(
                fields=["id"],
                condition=models.Q(summary_due__isnull=False),
                name="due_for_summary",
            ),
            # What must show nowhere, and what is swept up.
            models.Index(
                fields=["importing_at"],
                condition=models.Q(importing_at__isnull=False),
                name="unfinished_imports",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)  # a title is what a person said, and __str__ goes to logs and admin


class MessageQuerySet(models.QuerySet["Message"]):
    def visible_to(self, user: User) -> MessageQuerySet:
        """The messages of conversations that exist for `user`."""
        return self.filter(conversation__owner=user, conversation__importing_at=None)

    def of_whole(self) -> MessageQuerySet:
        """Without those of conversations that an import is still writing."""
        unfinished = Conversation.with_unfinished.unfinished()
        return self.exclude(conversation__in=unfinished.values("pk"))

    def ended(self) -> MessageQuerySet:
        """Those that no turn is writing."""
        return self.exclude(status__in=Message.BEING_WRITTEN)

    def siblings(self, conversation_id: UUID, parent_id: UUID | None, role: str) -> list[UUID]:
        """Ids of all with this parent and role, oldest first."""
        same = self.filter(conversation_id=conversation_id, parent_id=parent_id, role=role)
        return list(same.order_by("position").values_list("id", flat=True))

    def erase(self) -> None:
        """Delete them in one statement. No turn may point to them any more.

        `delete()` would read every message with its text first, to find those turns.
        """
        self._raw_delete(self.db)


class Message(Record):
    """One message of a transcript. Its place is `position`, never its id or a time.

    An answer takes `position` when its turn begins and `ended_position` when it ends. `seconds`
    is how long the turn took; `cost` is in billionths of the currency unit.
    """

    class Role(models.TextChoices):
        SYSTEM = "system", _("System")
        USER = "user", _("User")
        ASSISTANT = "assistant", _("Assistant")
        AGENT = "agent", _("Agent")
        TOOL = "tool", _("Tool")

    class Rating(models.TextChoices):
        UP = "up", _("Up")
        DOWN = "down", _("Down")

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        STREAMING = "streaming", _("Streaming")
        COMPLETE = "complete", _("Complete")
        STOPPED = "stopped", _("Stopped")
        INTERRUPTED = "interrupted", _("Interrupted")
        FAILED = "failed", _("Failed")

    BEING_WRITTEN = frozenset({Status.PENDING, Status.STREAMING})

    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        related_name="messages",
        verbose_name=_("conversation"),
    )
    # The service deletes whole subtrees in one statement; the database checks it at commit.
    parent = models.ForeignKey(
        "self",
        on_delete=models.DO_NOTHING,
        related_name="children",
        null=True,
        blank=True,
        verbose_name=_("parent"),
    )
    role = models.CharField(_("role"), max_length=9, choices=Role.choices)
    status = models.CharField(
        _("status"), max_length=11, choices=Status.choices, default=Status.COMPLETE
    )
    content = models.TextField(_("content"), blank=True)
    reasoning = models.TextField(_("reasoning"), blank=True)
    tool_calls = models.JSONField(_("tool calls"), default=list, blank=True)
    sources = models.JSONField(_("sources"), default=list, blank=True)
    model = models.CharField(_("model"), max_length=MODEL_CHARACTERS, blank=True)
    fallback = models.BooleanField(_("answered by a fallback"), default=False)
    prompt_tokens = models.PositiveBigIntegerField(_("prompt tokens"), null=True, blank=True)
    completion_tokens = models.PositiveBigIntegerField(
        _("completion tokens"), null=True, blank=True
    )
    cost = models.PositiveBigIntegerField(_("cost"), null=True, blank=True)
    usage_estimated = models.BooleanField(_("usage is estimated"), default=False)
    seconds = models.FloatField(_("seconds"), null=True, blank=True)
    context = models.JSONField(_("context"), null=True, blank=True)
    error_code = models.CharField(_("error code"), max_length=32, blank=True)
    error_detail = models.CharField(_("error detail"), max_length=300, blank=True)
    position = models.PositiveBigIntegerField(_("position"))
    ended_position = models.PositiveBigIntegerField(_("end position"), null=True, blank=True)
    edited_at = models.DateTimeField(_("edited at"), null=True, blank=True)
    # What the person who asked thinks of an answer.
    rating = models.CharField(_("rating"), max_length=4, choices=Rating.choices, blank=True)
    comment = models.TextField(_("comment"), blank=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.UniqueConstraint(
                fields=["conversation", "position"], name="message_position_is_unique"
            )
        ]
        indexes = [
            # The admin's list of what people think of the answers.
            models.Index(fields=["-id"], condition=~models.Q(rating=""), name="rated_messages")
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.id}"

    def usage(self) -> dict[str, Any] | None:
        """Tokens and cost (billionths), or None while nothing was counted."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "cost": self.cost or 0,
            "estimated": self.usage_estimated,
        }

    def feedback(self) -> dict[str, str] | None:
        return {"rating": self.rating, "comment": self.comment} if self.rating else None
