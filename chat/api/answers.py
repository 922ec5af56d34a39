"""How a turn is answered over HTTP: as an event stream, or as JSON once it has ended."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from accounts.api.callers import caller_of
from chat.api.waiting import Waiting
from chat.models import Message
from chat.services.answers import Answer, answer_of
from chat.services.turn_requests import TurnStarted
from chat.streams.events import TurnRef
from chat.streams.reading import read_turn
from common import errors
from common.api.renderers import dump
from common.sse import encode
from common.streaming import EventStreamResponse, Slot

# A replay may be megabytes: it leaves in pieces that the peer can be waited for between.
WRITE_BYTES = 64 << 10


async def encoded(turn: TurnRef, *, after: int = -1) -> AsyncGenerator[bytes, None]:
    """The events of a turn as SSE; what is there at once leaves in one write."""
    prefix = f"{turn.message_id}:"
    async with aclosing(read_turn(turn, after=after)) as batches:
        async for batch in batches:
            ready: list[bytes] = []
            size = 0
            for event in batch:
                ready.append(encode(event.type, f"{prefix}{event.seq}", event.data))
                size += len(ready[-1])
                if size > WRITE_BYTES:
                    yield b"".join(ready)
                    ready, size = [], 0
            if ready:
                yield b"".join(ready)


def stream(
    request: Request, begin: Callable[[], TurnRef], *, after: int = -1
) -> EventStreamResponse:
    """The events of the turn that `begin` begins or finds. Raises RateLimited before that."""
    caller = caller_of(request)
    slot = Slot(caller.user.pk)
    try:
        turn = begin()
    except BaseException:
        slot.release()
        raise
    return EventStreamResponse(
        encoded(turn, after=after),
        slot=slot,
        credential_id=caller.credential_id,
        scope=getattr(request._request, "scope", None),  # noqa: SLF001 DRF's name for it
    )


def whole(started: TurnStarted) -> Waiting:
    """201 with both messages when the turn has ended, or the problem that it ended with."""

    async def render() -> HttpResponse:
        answer = await answer_of(started.ref)
        if answer.message is None:
            raise failure(answer)
        body = {"user_message": answer.user_message, "message": answer.message}
        return json(body, status=201)

    return Waiting(render)


def once(started: TurnStarted) -> Waiting:
    """200 with the answer of a turn without a conversation. Half an answer is a failure."""

    async def render() -> HttpResponse:
        answer = await answer_of(started.ref)
        if answer.message is None:
            raise failure(answer)
        if answer.message["status"] == Message.Status.INTERRUPTED:
            error = answer.message["error"] or {"code": "unavailable", "detail": ""}
            raise failure(Answer(None, None, error["code"], error["detail"]))
        body = {
            "content": answer.message["content"],
            "tokens": answer.message["usage"]["total_tokens"],
            "model": answer.message["model"],
        }
        return json(body)

    return Waiting(render)


def json(body: dict[str, Any], *, status: int = 200) -> HttpResponse:
    return HttpResponse(dump(body), status=status, content_type="application/json")


def failure(answer: Answer) -> errors.AppError:
    """What a turn failed with, as the error that REST tells."""
    kind = _kinds().get(answer.code, errors.Internal)
    return kind(answer.detail)


@functools.cache
def _kinds() -> dict[str, type[errors.AppError]]:
    """The class that defined each code."""
    return _kinds_below(errors.AppError)


def _kinds_below(parent: type[errors.AppError]) -> dict[str, type[errors.AppError]]:
    found = {parent.code: parent} if "code" in vars(parent) else {}
    for child in parent.__subclasses__():
        found |= _kinds_below(child)
    return found
