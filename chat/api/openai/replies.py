"""When a turn is answered: whole at its end, or as a stream from its first word on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import gettext as _
from rest_framework.request import Request

from chat.api import replies
from chat.api.openai import answers
from chat.api.waiting import Waiting
from chat.streams import events
from chat.streams.hub import hub
from chat.streams.reading import read_turn
from common.errors import Unavailable
from common.streaming import EventStreamResponse, Slot

if TYPE_CHECKING:
    from chat.streams.events import Event, TurnRef


def whole(turn: TurnRef) -> Waiting:
    """200 with the answer, or what the turn failed with. Half an answer is a failure."""

    async def render() -> HttpResponse:
        logprobs: list[dict[str, Any]] = []
        async with aclosing(read_turn(turn)) as batches:
            async for batch in batches:
                logprobs += answers.logprobs_in(batch)
        end = batch[-1]
        if error := answers.failed(end):
            raise error
        message = orjson.loads(end.data)["message"]
        return replies.json(answers.whole(turn, message, logprobs=logprobs))

    return Waiting(render)


def streamed(request: Request, begin: Callable[[], TurnRef], *, include_usage: bool) -> Waiting:
    """The answer in chunks. What fails before there is a first one has a status of its own."""
    turn, slot = replies.begun(request, begin)

    async def render() -> EventStreamResponse:
        batches = read_turn(turn)
        try:
            ready = await _begun(turn, batches)
        except BaseException:
            slot.release()
            await batches.aclose()
            raise
        cut = Unavailable(_("The stream was ended before the answer was."))
        chunks = answers.chunks(
            answers.Writing(turn), batches, ready=ready, include_usage=include_usage
        )
        return replies.response(request, chunks, slot, last_words=answers.frame(cut))

    return _Stream(render, slot)


class _Stream(Waiting):
    """One whose client may be gone before its time comes."""

    def __init__(self, render: Callable[[], Any], slot: Slot) -> None:
        super().__init__(render)
        self.slot = slot

    def close(self) -> None:
        super().close()
        self.slot.release()


async def _begun(turn: TurnRef, batches: AsyncGenerator[list[Event], None]) -> list[Event]:
    """The first events, once there is a word among them, or the end; raises what it failed with.

    A silence that proxies might take for a death is not waited out: then the stream begins.
    """
    ready = await anext(batches)
    said = [event for event in ready if event.type != events.START]
    if not said:
        log = await hub.follow(turn)
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.STREAM_COMMENT_SECONDS):
                await log.changed(ready[-1].seq)
        said = log.after(ready[-1].seq)
    if said and said[0].is_end and (error := answers.failed(said[0])):
        raise error
    return ready
