"""How a turn is answered over HTTP: as an event stream, or as JSON once it has ended."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
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

# Between two writes the peer is waited for.
_WRITE_BYTES = 64 << 10


async def encoded(turn: TurnRef, *, after: int = -1) -> AsyncGenerator[bytes, None]:
    """The events of a turn as SSE; what is there at once leaves in one write."""
    prefix = f"{turn.message_id}:"
    async with aclosing(read_turn(turn, after=after)) as batches:
        async for batch in batches:
            lines = (encode(event.type, f"{prefix}{event.seq}", event.data) for event in batch)
            for write in writes(lines):
                yield write


def writes(lines: Iterable[bytes]) -> Iterator[bytes]:
    """What is there at once leaves in one write, a replay of megabytes in several."""
    ready: list[bytes] = []
    size = 0
    for line in lines:
        ready.append(line)
        size += len(line)
        if size > _WRITE_BYTES:
            yield b"".join(ready)
            ready, size = [], 0
    if ready:
        yield b"".join(ready)


def begun(request: Request, begin: Callable[[], TurnRef]) -> tuple[TurnRef, Slot]:
    """The turn that `begin` begins or finds, and the stream's place among its person's. Raises
    RateLimited before that where all are taken (E5)."""
    slot = Slot(caller_of(request).user.pk)
    try:
        return begin(), slot
    except BaseException:
        slot.release()
        raise


def response(
    request: Request, content: AsyncGenerator[bytes, None], slot: Slot, **more: Any
) -> EventStreamResponse:
    """`content`, for as long as the caller may stay."""
    return EventStreamResponse(
        content,
        slot=slot,
        credential_id=caller_of(request).credential_id,
        scope=getattr(request._request, "scope", None),  # noqa: SLF001 DRF's name for it
        **more,
    )


def stream(
    request: Request, begin: Callable[[], TurnRef], *, after: int = -1
) -> EventStreamResponse:
    """The events of the turn that `begin` begins or finds."""
    turn, slot = begun(request, begin)
    return response(request, encoded(turn, after=after), slot)


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
