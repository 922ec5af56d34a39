"""A turn as OpenAI's clients read it: one object, or chunks as Server-Sent Events.

No `id:` and no `retry:` line: after one the official client fails on the next comment (E10).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson
from django.utils.translation import gettext as _

from chat.api.replies import failure, writes
from chat.models import Message
from chat.services.answers import Answer
from chat.streams import events
from common import openai_errors
from common.errors import AppError, Unavailable
from common.sse import dump_line

if TYPE_CHECKING:
    from chat.streams.events import Event, TurnRef

DONE = b"data: [DONE]\n\n"

_WHOLE = "chat.completion"
_CHUNK = "chat.completion.chunk"


class Writing:
    """One answer in the making: what of it the reader has, and what every part of it repeats."""

    def __init__(self, ref: TurnRef) -> None:
        # The first 48 bits of the id are the millisecond of its making (RFC 9562).
        self.id = f"chatcmpl-{ref.turn_id.hex}"
        self.created = (ref.turn_id.int >> 80) // 1_000
        self._name("")
        self._characters = 0
        self._thoughts = 0
        self._calls: dict[str, int] = {}

    def _name(self, model: str) -> None:
        self.model = model
        # Once: of all that is written here, chunks are what there are many of.
        head = dump_line(self.head(_CHUNK)).removesuffix(b"}")
        self.opening = b'data: %b,"choices":[{"index":0,' % head

    def head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def deltas(self, event: Event) -> Iterator[dict[str, Any]]:
        """What `event` adds to the answer, as the members of a `choices` entry."""
        body = orjson.loads(event.data)
        if event.type == events.START:
            self._name(body["model"])
            yield {"delta": {"role": "assistant", "content": ""}}
        elif event.type == events.CHUNK:
            yield from self._chunk(body)
        elif event.type == events.SNAPSHOT:
            # The whole so far; its beginning is what the reader has.
            yield from self._rest(body["content"], body.get("reasoning", ""))
        elif event.type == events.COMPLETE:
            message = body["message"]
            yield from self._rest(message.get("content", ""), message.get("reasoning", ""))
            for call in message.get("tool_calls", ()):
                yield from self._call(call, whole=True)

    def _chunk(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        delta: dict[str, Any] = {}
        if content := body["content"]:
            self._characters += len(content)
            delta["content"] = content
        if reasoning := body.get("reasoning"):
            self._thoughts += len(reasoning)
            delta["reasoning_content"] = reasoning
        logprobs = body.get("logprobs")
        if delta or logprobs:
            yield {"delta": delta} | ({"logprobs": _logprobs(logprobs)} if logprobs else {})
        if call := body.get("tool_call"):
            yield from self._call(call)

    def _rest(self, content: str, reasoning: str) -> Iterator[dict[str, Any]]:
        delta = {}
        if rest := content[self._characters :]:
            self._characters = len(content)
            delta["content"] = rest
        if thoughts := reasoning[self._thoughts :]:
            self._thoughts = len(reasoning)
            delta["reasoning_content"] = thoughts
        if delta:
            yield {"delta": delta}

    def _call(self, call: dict[str, Any], *, whole: bool = False) -> Iterator[dict[str, Any]]:
        """A piece of a call of a tool; of a whole one, what the reader lacks."""
        is_new = call["id"] not in self._calls
        had = self._calls.setdefault(call["id"], 0)
        arguments = call["arguments"][had:] if whole else call["arguments"]
        self._calls[call["id"]] += len(arguments)
        if not (is_new or arguments):
            return
        piece: dict[str, Any] = {"index": list(self._calls).index(call["id"])}
        function = {"arguments": arguments}
        if is_new:
            piece |= {"id": call["id"], "type": "function"}
            function = {"name": call["name"]} | function
        yield {"delta": {"tool_calls": [piece | {"function": function}]}}


def failed(end: Event) -> AppError | None:
    """What a turn that has ended failed with; None for one that came to its end."""
    body = orjson.loads(end.data)
    if end.type == events.ERROR:
        return failure(Answer(None, None, body["code"], body["detail"]))
    message = body["message"]
    status = message.get("status")
    if status == Message.Status.COMPLETE:
        return None
    if error := message.get("error"):
        return failure(Answer(None, None, error["code"], error["detail"]))
    # Its client did not ask for that: half an answer must not look like a whole one (E10).
    return Unavailable(_("The answer was stopped before its end."))


def logprobs_in(batch: Iterable[Event]) -> list[dict[str, Any]]:
    """Entries that stand beside text, for who tells of the whole answer at once."""
    told = (orjson.loads(event.data) for event in batch if b'"logprobs":' in event.data)
    return [entry for body in told for entry in body.get("logprobs", ())]


def whole(
    ref: TurnRef, message: dict[str, Any], *, logprobs: list[dict[str, Any]]
) -> dict[str, Any]:
    """`chat.completion`: the answer of a turn that came to its end."""
    calls = message["tool_calls"]
    said: dict[str, Any] = {
        "role": "assistant",
        "content": message["content"] if message["content"] or not calls else None,
        "refusal": None,
    }
    if message["reasoning"]:
        said["reasoning_content"] = message["reasoning"]
    if calls:
        said["tool_calls"] = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in calls
        ]
    choice = {
        "index": 0,
        "message": said,
        "logprobs": _logprobs(logprobs) if logprobs else None,
        "finish_reason": _finish_reason(message),
    }
    head = Writing(ref).head(_WHOLE) | {"model": message["model"]}
    return head | {"choices": [choice], "usage": _usage(message)}


async def chunks(
    writing: Writing,
    batches: AsyncGenerator[list[Event], None],
    *,
    ready: list[Event],
    include_usage: bool,
) -> AsyncGenerator[bytes, None]:
    """`chat.completion.chunk` events: those of the events that are `ready`, then of `batches`."""
    async with aclosing(batches):
        for write in writes(_lines(writing, ready, include_usage=include_usage)):
            yield write
        if ready[-1].is_end:
            return
        async for batch in batches:
            for write in writes(_lines(writing, batch, include_usage=include_usage)):
                yield write


def frame(error: AppError) -> bytes:
    """How a stream ends that failed after its first byte."""
    return b"data: %b\n\n%b" % (dump_line(openai_errors.body_of(error)), DONE)


def _lines(writing: Writing, batch: list[Event], *, include_usage: bool) -> Iterator[bytes]:
    for event in batch:
        if event.is_end and (error := failed(event)):
            yield frame(error)
            return
        for more in writing.deltas(event):
            yield _line(writing, **more)
        if event.is_end:
            message = orjson.loads(event.data)["message"]
            yield _line(writing, delta={}, finish_reason=_finish_reason(message))
            if include_usage:
                usage = {"choices": [], "usage": _usage(message)}
                yield _data(writing.head(_CHUNK) | usage)
            yield DONE


def _line(writing: Writing, *, finish_reason: str | None = None, **more: Any) -> bytes:
    """A chunk with one choice, as `_data` would write it."""
    reason = b"null" if finish_reason is None else dump_line(finish_reason)
    return b'%b%b,"finish_reason":%b}]}\n\n' % (writing.opening, dump_line(more)[1:-1], reason)


def _data(body: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % dump_line(body)


def _finish_reason(message: dict[str, Any]) -> str:
    return message.get("finish_reason") or ("tool_calls" if message["tool_calls"] else "stop")


def _logprobs(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {"content": entries, "refusal": None}


def _usage(message: dict[str, Any]) -> dict[str, int]:
    usage = message["usage"]
    return {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
