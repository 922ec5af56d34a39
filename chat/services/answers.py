"""A turn's whole answer, for callers who do not stream. Everything comes from the turn's log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from chat.streams import events
from chat.streams.reading import read_turn

if TYPE_CHECKING:
    from chat.streams.events import TurnRef


@dataclass(frozen=True, slots=True)
class Answer:
    """`message` is None where the turn failed: then `code` and `detail` say why."""

    user_message: dict[str, Any] | None
    message: dict[str, Any] | None
    code: str = ""
    detail: str = ""


async def answer_of(ref: TurnRef) -> Answer:
    """Wait, on the loop, for the end of a turn. The caller is a reader meanwhile."""
    user_message = None
    stream = read_turn(ref)
    try:
        async for batch in stream:
            if batch[0].type == events.START:
                user_message = orjson.loads(batch[0].data)["user_message"]
            if batch[-1].is_end:
                end = orjson.loads(batch[-1].data)
                return Answer(
                    user_message, end.get("message"), end.get("code", ""), end.get("detail", "")
                )
    finally:
        await stream.aclose()
    raise AssertionError("a turn's log ends with its end event")
