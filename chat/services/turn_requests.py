"""Everything that makes a model speak for a person begins here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from chat.models import Conversation, Message, Turn
from chat.streams.events import TurnRef
from chat.turns import transcript
from chat.turns.closing import ref_of
from chat.turns.idempotency import Claim
from chat.turns.prepare import begin_answer, begin_stateless, choose_model, context_of
from common import rates
from common.db import update_returning, write_transaction
from common.errors import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from accounts.services.callers import Caller


class _Unset:
    """The newest message, whichever that is when the turn is prepared."""


UNSET: Final = _Unset()


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn that has begun, or one that the same `Idempotency-Key` began before (`joined`)."""

    ref: TurnRef
    user_message_id: UUID | None
    joined: bool = False


class _Joined(Exception):
    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.turn = turn


def send_message(
    caller: Caller,
    conversation_id: UUID,
    *,
    content: str,
    parent_id: UUID | _Unset | None = UNSET,
    model: str = "",
    parameters: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> TurnStarted:
    """Add a message and have it answered.

    `parent_id` None begins a new branch at the root. Raises NotFound, Invalid, Conflict (a turn
    is running), IdempotencyConflict, RateLimited, ModelUnavailable, Unavailable.
    """
    claim = Claim.of(
        caller.sender,
        idempotency_key,
        f"send:{conversation_id}",
        {
            "content": content,
            "parent_id": "newest" if isinstance(parent_id, _Unset) else parent_id,
            "model": model,
            "parameters": parameters or {},
        },
    )

    def begin() -> TurnStarted:
        conversation = _write_to(caller, conversation_id, claim, messages=2)
        return _begin_sent(
            caller,
            conversation,
            claim,
            content=content,
            parent_id=parent_id,
            model=model,
            parameters=parameters or {},
        )

    return _once(caller, claim, begin)


def send_to_new_conversation(
    caller: Caller,
    *,
    content: str,
    model: str = "",
    parameters: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> TurnStarted:
    """The same in a conversation that is made for it, in the same transaction."""
    fields = {"content": content, "model": model, "parameters": parameters or {}}
    claim = Claim.of(caller.sender, idempotency_key, "send:new", fields)

    def begin() -> TurnStarted:
        asked = choose_model(caller.user, model, parameters or {})
        conversation = Conversation.objects.create(
            owner=caller.user, model=asked.model.name, last_position=2, message_count=2
        )
        return _begin_sent(
            caller,
            conversation,
            claim,
            content=content,
            parent_id=None,
            model=model,
            parameters=parameters or {},
        )

    return _once(caller, claim, begin)


def regenerate(
    caller: Caller,
    message_id: UUID,
    *,
    model: str = "",
    parameters: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> TurnStarted:
    """Answer once more what this answer answers; it becomes one of several siblings."""
    fields = {"model": model, "parameters": parameters or {}}
    claim = Claim.of(caller.sender, idempotency_key, f"regenerate:{message_id}", fields)

    def begin() -> TurnStarted:
        old = _answer_of(caller, message_id)
        conversation = _write_to(caller, old.conversation_id, claim, messages=1)
        question = old.parent
        if question is None:
            raise NotFound()
        return _begin_again(
            caller, conversation, claim, question, model=model, parameters=parameters or {}
        )

    return _once(caller, claim, begin)


def chat_once(
    caller: Caller,
    *,
    messages: list[dict[str, Any]],
    model: str = "",
    parameters: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> TurnStarted:
    """A turn over `messages` (OpenAI's shape) that leaves no conversation behind."""
    fields = {"messages": messages, "model": model, "parameters": parameters or {}}
    claim = Claim.of(caller.sender, idempotency_key, "chat", fields)

    def begin() -> TurnStarted:
        asked = choose_model(caller.user, model, parameters or {})
        ref = begin_stateless(asked, messages, purpose=Turn.Purpose.CHAT, claim=claim)
        return TurnStarted(ref, None)

    return _once(caller, claim, begin)


def turn_of_message(caller: Caller, message_id: UUID) -> TurnRef:
    """The turn that wrote, or writes, this message; NotFound if none did or it is not theirs."""
    turn = Turn.objects.filter(
        message_id=message_id, conversation__in=Conversation.objects.visible_to(caller.user)
    ).first()
    if turn is None:
        raise NotFound()
    return ref_of(turn)


def turns_begun_since(user_ids: Collection[UUID], since: datetime) -> list[TurnRef]:
    """Turns in conversations of these people that began after `since`."""
    turns = Turn.objects.filter(
        user_id__in=user_ids, created_at__gt=since, conversation__isnull=False
    )
    return [ref_of(turn) for turn in turns.only("message", "conversation", "user")]


# -- how a turn begins -------------------------------------------------------------------------
def _once(caller: Caller, claim: Claim, begin: Callable[[], TurnStarted]) -> TurnStarted:
    """Run `begin` in a transaction, or join the turn that the same key began."""
    if earlier := claim.earlier_turn():
        return _join(earlier)
    rates.hit("turns_user", str(caller.user.pk))
    try:
        with write_transaction():
            return begin()
    except _Joined as exc:
        return _join(exc.turn)
    except IntegrityError as exc:
        # Two constraints can refuse here: the key's, and one running turn per conversation.
        if earlier := claim.earlier_turn():
            return _join(earlier)
        raise Conflict("A turn is running in this conversation.") from exc


def _join(turn: Turn) -> TurnStarted:
    if turn.purpose == Turn.Purpose.MESSAGE and turn.message_id is None:
        raise NotFound()
    parent_id = turn.message.parent_id if turn.message else None
    return TurnStarted(ref_of(turn), parent_id, joined=True)


def _write_to(
    caller: Caller, conversation_id: UUID, claim: Claim, *, messages: int
) -> Conversation:
    """Lock the caller's conversation and take positions in it, in one UPDATE."""
    conversation = update_returning(
        Conversation,
        where={"id": conversation_id, "owner": caller.user.pk},
        changes={"updated_at": timezone.now()},
        raised={"last_position": messages, "message_count": messages},
    )
    if conversation is None:
        raise NotFound()
    # Whoever held the lock before may have begun the very turn that is asked for.
    if earlier := claim.earlier_turn():
        raise _Joined(earlier)
    return conversation


def _begin_sent(
    caller: Caller,
    conversation: Conversation,
    claim: Claim,
    *,
    content: str,
    parent_id: UUID | _Unset | None,
    model: str,
    parameters: dict[str, Any],
) -> TurnStarted:
    asked = choose_model(
        caller.user, model or conversation.model, conversation.parameters | parameters
    )
    recent = transcript.newest(conversation.id)
    if isinstance(parent_id, _Unset):
        parent_id = recent[0].id if recent else None
    elif parent_id is not None:
        _check_parent(caller, conversation, parent_id, recent)
    context = context_of(asked, conversation, leaf=parent_id, recent=recent, content=content)
    _remember_model(conversation, model)
    message = Message(
        conversation=conversation,
        parent_id=parent_id,
        role=Message.Role.USER,
        content=content,
        position=conversation.last_position - 1,
    )
    siblings = transcript.siblings(conversation.id, parent_id, Message.Role.USER, recent)
    ref = begin_answer(
        asked,
        conversation,
        context,
        claim=claim,
        user_message=message,
        user_siblings=[*siblings, message.id],
        siblings=[],
    )
    return TurnStarted(ref, message.id)


def _begin_again(
    caller: Caller,
    conversation: Conversation,
    claim: Claim,
    question: Message,
    *,
    model: str,
    parameters: dict[str, Any],
) -> TurnStarted:
    asked = choose_model(
        caller.user, model or conversation.model, conversation.parameters | parameters
    )
    recent = transcript.newest(conversation.id)
    context = context_of(asked, conversation, leaf=question.id, recent=recent, content=None)
    assistant, user = Message.Role.ASSISTANT, Message.Role.USER
    ref = begin_answer(
        asked,
        conversation,
        context,
        claim=claim,
        user_message=question,
        user_siblings=transcript.siblings(conversation.id, question.parent_id, user, recent),
        siblings=transcript.siblings(conversation.id, question.id, assistant, recent),
    )
    return TurnStarted(ref, question.id)


def _answer_of(caller: Caller, message_id: UUID) -> Message:
    message = Message.objects.visible_to(caller.user).filter(pk=message_id).first()
    if message is None:
        raise NotFound()
    if message.role != Message.Role.ASSISTANT or message.parent_id is None:
        raise Invalid("Only an answer to a message can be regenerated.")
    return message


def _check_parent(
    caller: Caller,
    conversation: Conversation,
    parent_id: UUID,
    recent: list[transcript.Loaded],
) -> None:
    if any(each.id == parent_id for each in recent):
        return
    place = Message.objects.visible_to(caller.user).filter(pk=parent_id).only("conversation_id")
    parent = place.first()
    if parent is None:
        raise NotFound()
    if parent.conversation_id != conversation.id:
        raise Invalid.field("parent_id", "This message is in another conversation.")


def _remember_model(conversation: Conversation, model: str) -> None:
    """The choice is remembered per conversation."""
    if model and model != conversation.model:
        Conversation.objects.filter(pk=conversation.pk).update(model=model)
