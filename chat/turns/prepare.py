"""Preparing a turn: one transaction that refuses or writes everything, the hold last."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language
from uuid_utils.compat import uuid7

from chat.models import Conversation, Message, Turn
from chat.streams import events
from chat.streams.events import TurnRef
from chat.turns import transcript
from chat.turns.context import Context, Past, Recap, build_context
from chat.turns.in_flight import PreparedTurn
from chat.turns.recaps import fitted
from chat.turns.routes import kept
from chat.turns.runner import runner
from common.db import write_transaction
from common.statements import insert
from models_registry.providers.base import ChatRequest
from models_registry.tokens import count
from quotas.services.holds import Wanted, hold, holding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chat.turns.choosing import Asked
    from chat.turns.idempotency import Claim

# Those that a request names; what else was asked for are its options.
_PARAMETERS = (
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
)


def context_of(
    asked: Asked,
    conversation: Conversation,
    *,
    leaf: UUID | None,
    recent: Sequence[transcript.Loaded],
    content: str | None,
) -> Context:
    """What the model sees: the path to `leaf`, then `content` if a message is being added."""
    route = asked.routes[0]
    path, found = transcript.history(conversation.id, leaf, recent)
    room = asked.room
    # Each text once, however many summaries are tried: the conversation is locked meanwhile.
    counted = cache(partial(count, encoding=route.encoding))

    def build(history: Iterator[Past], recap: Recap | None) -> Context:
        return build_context(
            system_prompt=conversation.system_prompt,
            content=content,
            history=history,
            history_length=len(path),
            room=room,
            count=counted,
            recap=recap,
        )

    return fitted(conversation, path, found, room=room, build=build)


def begin_answer(
    asked: Asked,
    conversation: Conversation,
    context: Context,
    *,
    claim: Claim,
    user_message: Message,
    user_siblings: list[UUID],
    siblings: list[UUID],
) -> TurnRef:
    """Write what remains of a turn in a conversation and have it started on commit.

    `user_message` is what is answered, new or there already; `siblings` are the answers that it
    has. The conversation row is locked by the caller, `last_position` is the answer's.
    """
    answer = Message(
        conversation=conversation,
        parent_id=user_message.id,
        role=Message.Role.ASSISTANT,
        status=Message.Status.STREAMING,
        model=asked.model.name,
        position=conversation.last_position,
        context={
            "messages_left_out": context.left_out,
            "summarized": context.summarized,
        },
    )
    new = user_message._state.adding  # noqa: SLF001 Django's documented Model._state
    insert(*([user_message, answer] if new else [answer]))
    ref = TurnRef(uuid7(), answer.id, conversation.id, asked.user.id)
    start = events.start(
        ref,
        user_message=events.message_fields(user_message, siblings=user_siblings),
        model=asked.model.name,
    )
    prepared = _prepared(
        asked,
        ref,
        purpose=Turn.Purpose.MESSAGE,
        messages=context.messages,
        prompt_tokens=context.tokens,
        siblings=[*siblings, answer.id],
        epoch=conversation.epoch,
    )
    _write_turn(asked, prepared, claim, message_id=answer.id)
    transaction.on_commit(partial(runner.launch, prepared, start))
    return ref


def begin_stateless(
    asked: Asked,
    messages: list[dict[str, Any]],
    *,
    prompt_tokens: int,
    purpose: str,
    claim: Claim,
) -> TurnRef:
    """A turn without a conversation: nothing of it is stored but counts.

    They are those of the person who pays, or, where nobody does, of the deployment.
    """
    turn_id = uuid7()
    ref = TurnRef(turn_id, turn_id, None, asked.payer.user_id)
    prepared = _prepared(
        asked,
        ref,
        purpose=purpose,
        messages=messages,
        prompt_tokens=prompt_tokens,
        siblings=[],
        epoch=0,
    )
    prepared.needs_reader = not claim.key
    prepared.keeps_answer = bool(claim.key)
    if purpose == Turn.Purpose.V1:
        prepared.tries_in_all = settings.V1_PROVIDER_TRIES
    _write_turn(asked, prepared, claim, message_id=None)
    start = events.start(ref, user_message=None, model=asked.model.name)
    transaction.on_commit(partial(runner.launch, prepared, start))
    return ref


def begun(begin: Callable[[], TurnRef]) -> TurnRef:
    """The turn that `begin` writes, committed, with a place among those that run here.

    Raises RateLimited where there is none, and what `begin` and `holding` raise.
    """

    def once() -> TurnRef:
        ref = None
        try:
            with write_transaction():
                ref = begin()
                # After the hold: where a plan's limit refuses too, that is the one to be named.
                runner.take_place(ref)
        except BaseException:
            if ref is not None:  # a commit that failed begins nothing
                runner.give_place_back(ref)
            raise
        return ref

    return holding(once)


def _prepared(
    asked: Asked,
    ref: TurnRef,
    *,
    purpose: str,
    messages: list[dict[str, Any]],
    prompt_tokens: int,
    siblings: list[UUID],
    epoch: int,
) -> PreparedTurn:
    given = {name: asked.parameters[name] for name in _PARAMETERS if name in asked.parameters}
    options = {name: value for name, value in asked.parameters.items() if name not in _PARAMETERS}
    return PreparedTurn(
        ref=ref,
        purpose=purpose,
        routes=asked.routes,
        request=ChatRequest(
            messages=messages,
            strict=purpose == Turn.Purpose.V1,
            purpose=purpose,
            language=get_language() or "en",
            options=options,
            **given,
        ),
        prompt_tokens=prompt_tokens,
        siblings=siblings,
        started_at=timezone.now(),
        epoch=epoch,
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
    )


def _write_turn(
    asked: Asked, prepared: PreparedTurn, claim: Claim, *, message_id: UUID | None
) -> None:
    route = asked.routes[0]
    turn = Turn(
        id=prepared.ref.turn_id,
        created_at=prepared.started_at,
        conversation_id=prepared.ref.conversation_id,
        message_id=message_id,
        user_id=prepared.ref.user_id,
        purpose=prepared.purpose,
        owner=runner.owner,
        epoch=prepared.epoch,
        model=asked.model.name,
        prompt_estimate=prepared.prompt_tokens,
        language=prepared.request.language,
        routes=kept(prepared.routes),
    )
    insert(turn)
    claim.remember(prepared.ref.turn_id)
    bound = hold(
        turn_id=prepared.ref.turn_id,
        payer=asked.payer,
        wanted=Wanted(
            prepared.prompt_tokens,
            asked.answer_tokens,
            route.prices,
            most_output_tokens=asked.parameters.get("max_tokens") or route.max_output_tokens,
            may_be_cut=not (prepared.request.strict and "max_tokens" in asked.parameters),
        ),
        started_at=prepared.started_at,
    )
    if bound is not None:
        prepared.request = replace(prepared.request, max_tokens=bound)
