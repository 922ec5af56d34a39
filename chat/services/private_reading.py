"""Reading what is not one's own: a right that nobody has by default, a reason, and a trace (M4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import Permission
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import AuditAction, TargetKind, User
from accounts.services import audit
from chat.models import Conversation, Message
from common.db import write_transaction
from common.errors import Invalid, NotFound, PermissionDenied
from common.text import visible_length

RIGHT = "read_others"
SHORTEST_REASON, LONGEST_REASON = 10, 500

_MESSAGES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """The newest messages below a position, of every branch, oldest first. `earlier` is the
    position to ask `before` of for those above, None at the beginning."""

    conversation: Conversation
    messages: list[Message]
    earlier: int | None


def may_read(user: User) -> bool:
    """Whether the right was given to them or to a role of theirs. An administrator, who may do
    everything else, needs it too: giving it to a role is a step that the audit trail shows."""
    right = Permission.objects.filter(content_type__app_label="chat", codename=RIGHT)
    return user.is_active and right.filter(Q(user=user) | Q(group__user=user)).exists()


def read(conversation_id: UUID, *, actor: User, reason: str, before: int | None = None) -> Reading:
    """Somebody's conversation, for this one time; the audit trail keeps who, whose and why.

    Raises PermissionDenied, NotFound, and Invalid without a reason of SHORTEST_REASON characters.
    """
    if not may_read(actor):
        raise PermissionDenied
    found = Conversation.objects.select_related("owner").filter(pk=conversation_id).first()
    if found is None:
        raise NotFound
    record_reading([found], actor=actor, reason=reason, before=before)
    above = Message.objects.filter(conversation=found).order_by("-position")
    if before is not None:
        above = above.filter(position__lt=before)
    newest = list(above[: _MESSAGES_AT_ONCE + 1])
    shown = newest[:_MESSAGES_AT_ONCE]
    earlier = shown[-1].position if len(newest) > len(shown) else None
    return Reading(found, shown[::-1], earlier)


def checked_reason(text: str) -> str:
    """The reason as it is kept. Raises Invalid for one that tells nothing, seen or not."""
    reason = text.strip()
    if visible_length(reason) < SHORTEST_REASON or len(reason) > LONGEST_REASON:
        raise Invalid.field(
            "reason",
            _("Give a reason of %(low)d to %(high)d characters.")
            % {"low": SHORTEST_REASON, "high": LONGEST_REASON},
        )
    return reason


def record_reading(
    conversations: Iterable[Conversation],
    *,
    actor: User | None,
    reason: str,
    before: int | None = None,
) -> None:
    """Note in the audit trail who reads these, and why. `actor` None is the command line: whoever
    has it needs no right here, and may leave the reason out. Raises Invalid for one that tells
    nothing."""
    if reason or actor:
        reason = checked_reason(reason)
    with write_transaction():
        for each in conversations:
            audit.record(
                AuditAction.CONVERSATION_READ,
                actor=actor,
                target=audit.Target(TargetKind.CONVERSATION, each.pk),
                after={"reason": reason, "owner": str(each.owner_id), "before": before},
            )


def record_titles(count: int, *, owner: User | None, reason: str) -> None:
    """The same where the command line lists titles: of `owner`'s conversations, or everybody's."""
    if reason:
        reason = checked_reason(reason)
    with write_transaction():
        audit.record(
            AuditAction.CONVERSATION_TITLES,
            actor=None,
            target=audit.person(owner) if owner else audit.NOTHING,
            after={"reason": reason, "titles": count},
        )
