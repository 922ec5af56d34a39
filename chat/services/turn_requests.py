"""Everything that makes a model speak for a person begins here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F
from django.utils.translation import gettext as _

from chat.models import Conversation, Message, Turn
from chat.streams.events import TurnRef
from chat.turns.asking import (
    Joined,
    answer_to_repeat,
    asked_in,
    begin_again,
    begin_sent,
    lock_conversation,
)
from chat.turns.choosing import Asked, choose_model
from chat.turns.closing import ref_of
from chat.turns.fitting import fitting
from chat.turns.idempotency import NEWEST, Claim, Place
from chat.turns.prepare import begin_stateless, begun
from common import rates
from common.errors import Conflict, NotFound
from models_registry.services.routing import resolve_model
from models_registry.tokens import count_messages

if TYPE_CHECKING:
    from accounts.services.callers import Caller

# How PostgreSQL and SQLite call the constraint that two tabs at once meet.
_ONE_RUNNING_TURN = ("one_running_turn_per_conversation", "chat_turn.conversation_id")


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn that has begun, or one that the same `Idempotency-Key` began before (`joined`)."""

    ref: TurnRef
    joined: bool = False


def send_message(
    caller: Caller,
    conversation_id: UUID,
    *,
    content: str,
    parent_id: UUID | Place | None = NEWEST,
    model: str = "",
    parameters: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> TurnStarted:
    """Add a message and have it answered.

    `parent_id` None begins a new branch at the root. Raises NotFound, Invalid, Conflict (a turn
    is running), IdempotencyConflict, RateLimited, ModelUnavailable, Unavailable.
    """
    claim = Claim(
        caller.sender,
        idempotency_key,
        f"send:{conversation_id}",
        {
            "content": content,
            "parent_id": parent_id,
            "parameters": parameters or {},
        },
        model,
        partial(_default_model, caller, pk=conversation_id),
    )

    def begin() -> TurnRef:
        conversation = lock_conversation(caller, conversation_id, claim, messages=2)
        asked = asked_in(caller, conversation, model=model, parameters=parameters or {})
        return begin_sent(asked, conversation, claim, content=content, parent_id=parent_id)

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
    fields = {"content": content, "parameters": parameters or {}}
    default = partial(_default_model, caller)
    claim = Claim(caller.sender, idempotency_key, "send:new", fields, model, default)

    def begin() -> TurnRef:
        asked = choose_model(caller, model, parameters or {})
        conversation = Conversation.objects.create(
            owner=caller.user, model=asked.model.name, last_position=2, message_count=2
        )
        return begin_sent(asked, conversation, claim, content=content, parent_id=None)

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
    claim = Claim(
        caller.sender,
        idempotency_key,
        f"regenerate:{message_id}",
        {"parameters": parameters or {}},
        model,
        partial(_default_model, caller, messages=message_id),
    )

    def begin() -> TurnRef:
        old = answer_to_repeat(caller, message_id)
        conversation = lock_conversation(caller, old.conversation_id, claim, messages=1)
        # Not by `old.parent`: whoever held the lock before may have deleted both.
        question = Message.objects.filter(children=old).first()
        if question is None:
            raise NotFound()
        asked = asked_in(caller, conversation, model=model, parameters=parameters or {})
        return begin_again(asked, conversation, claim, question)

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
    fields = {"messages": messages, "parameters": parameters or {}}
    default = partial(_default_model, caller)
    claim = Claim(caller.sender, idempotency_key, "chat", fields, model, default)
    if earlier := _earlier(caller, claim):
        return earlier
    asked = choose_model(caller, model, parameters or {})
    # Before the transaction: a megabyte takes longer to count than all others should wait (F7).
    tokens = count_messages(messages, asked.routes[0].encoding)
    return _stateless(claim, asked, messages, tokens, purpose=Turn.Purpose.CHAT)


def complete_chat(
    caller: Caller,
    *,
    messages: list[dict[str, Any]],
    model: str,
    parameters: dict[str, Any],
    idempotency_key: str = "",
) -> TurnStarted:
    """The same for a client of OpenAI's: tools, images and forms of the answer pass through.

    `parameters` hold them too, under OpenAI's names. Raises Invalid for what the model cannot do,
    ContextLengthExceeded, and what `chat_once` raises.
    """
    fields = {"messages": messages, "parameters": parameters}
    default = partial(_default_model, caller)
    claim = Claim(caller.sender, idempotency_key, "v1", fields, model, default)
    if earlier := _earlier(caller, claim):
        return earlier
    asked = choose_model(caller, model, parameters, attribution=parameters.get("user", ""))
    asked, tokens = fitting(asked, messages)
    return _stateless(claim, asked, messages, tokens, purpose=Turn.Purpose.V1)


def turn_of_message(caller: Caller, message_id: UUID) -> TurnRef:
    """The turn that wrote, or writes, this message; NotFound if none did or it is not theirs."""
    visible = Conversation.objects.visible_to(caller.user)
    turns = Turn.objects.filter(message_id=message_id, conversation__in=visible)
    found = turns.annotate(edited_at=F("message__edited_at")).values_list(
        "id", "conversation_id", "user_id", "edited_at"
    )
    turn = found.first()
    if turn is None:
        raise NotFound()
    turn_id, conversation_id, user_id, edited_at = turn
    return TurnRef(turn_id, message_id, conversation_id, user_id, edited_at is not None)


def turns_begun_since(user_ids: Collection[UUID], since: datetime) -> list[TurnRef]:
    """Turns in conversations of these people that began after `since`."""
    turns = Turn.objects.filter(
        user_id__in=user_ids, created_at__gt=since, conversation__isnull=False
    )
    return [ref_of(turn) for turn in turns.only("message", "conversation", "user")]


# -- how a turn begins -------------------------------------------------------------------------
def _once(caller: Caller, claim: Claim, begin: Callable[[], TurnRef]) -> TurnStarted:
    """Run `begin` in a transaction, or join the turn that the same key began."""
    return _earlier(caller, claim) or _begin(claim, begin)


def _default_model(caller: Caller, **conversation: UUID) -> str:
    """The name of the model that answers where none is named, in this conversation if in one."""
    theirs = Conversation.objects.visible_to(caller.user).filter(**conversation)
    named = theirs.values_list("model", flat=True).first() if conversation else None
    return named or resolve_model(caller.user, None, only=caller.models).name


def _earlier(caller: Caller, claim: Claim) -> TurnStarted | None:
    """The turn that the same key began; without one, a new turn of the person is counted."""
    if earlier := claim.earlier_turn():
        return _join(earlier)
    rates.hit("turns_user", str(caller.user.pk))
    return None


def _begin(claim: Claim, begin: Callable[[], TurnRef]) -> TurnStarted:
    try:
        return TurnStarted(begun(begin))
    except Joined as exc:
        return _join(exc.turn)
    except IntegrityError as exc:
        if earlier := claim.earlier_turn():
            return _join(earlier)
        if any(name in str(exc) for name in _ONE_RUNNING_TURN):
            raise Conflict(_("A turn is running in this conversation.")) from exc
        raise


def _stateless(
    claim: Claim,
    asked: Asked,
    messages: list[dict[str, Any]],
    prompt_tokens: int,
    *,
    purpose: Turn.Purpose,
) -> TurnStarted:
    def begin() -> TurnRef:
        return begin_stateless(
            asked,
            messages,
            prompt_tokens=prompt_tokens,
            purpose=purpose,
            claim=claim,
        )

    return _begin(claim, begin)


def _join(turn: Turn) -> TurnStarted:
    if turn.purpose == Turn.Purpose.MESSAGE and turn.message_id is None:
        raise NotFound()
    return TurnStarted(ref_of(turn), joined=True)
