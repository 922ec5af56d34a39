"""The events of a turn, made into bytes once, whoever reads them."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from common.money import as_decimal
from common.sse import dump_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chat.models import Message

START: Final = "chat_start"
CHUNK: Final = "chat_chunk"
SNAPSHOT: Final = "snapshot"
COMPLETE: Final = "chat_complete"
ERROR: Final = "chat_error"


class TurnRef(NamedTuple):
    """Which turn, and by which ids its readers know it.

    For a turn without a conversation `message_id` is the turn's id. Of a message that was
    `edited` since, the row is what readers get: its log tells what is no longer there.
    """

    turn_id: UUID
    message_id: UUID
    conversation_id: UUID | None
    user_id: UUID | None
    edited: bool = False


class Event(NamedTuple):
    """One event: `data` is a line of JSON, the same for SSE and WebSocket.

    `forgets` is the end of a turn whose answer was deleted: what Redis has of it is dropped.
    """

    seq: int
    type: str
    data: bytes
    forgets: bool = False

    @property
    def is_end(self) -> bool:
        return self.type in {COMPLETE, ERROR}


def start(ref: TurnRef, *, user_message: dict[str, Any] | None, model: str) -> Event:
    return Event(
        0,
        START,
        dump_line(
            {
                "type": START,
                "seq": 0,
                "conversation_id": ref.conversation_id,
                "message_id": ref.message_id,
                "user_message": user_message,
                "model": model,
            }
        ),
    )


@functools.lru_cache(1_024)
def _chunk_head(message_id: UUID) -> bytes:
    return b'{"type":"%b","message_id":"%b","seq":' % (CHUNK.encode(), str(message_id).encode())


def chunk(
    message_id: UUID,
    seq: int,
    content: str,
    *,
    reasoning: str = "",
    tool_call: dict[str, Any] | None = None,
    logprobs: list[dict[str, Any]] | None = None,
) -> Event:
    # Put together by hand: of all events this is the one that there are many of.
    line = b'%b%d,"content":%b' % (_chunk_head(message_id), seq, dump_line(content))
    if reasoning:
        line += b',"reasoning":' + dump_line(reasoning)
    if tool_call:
        line += b',"tool_call":' + dump_line(tool_call)
    if logprobs:
        line += b',"logprobs":' + dump_line(logprobs)
    return Event(seq, CHUNK, line + b"}")


def snapshot(message_id: UUID, seq: int, content: str, *, reasoning: str = "") -> Event:
    body: dict[str, Any] = {
        "type": SNAPSHOT,
        "message_id": message_id,
        "seq": seq,
        "content": content,
    }
    if reasoning:
        body["reasoning"] = reasoning
    return Event(seq, SNAPSHOT, dump_line(body))


def complete(message_id: UUID, seq: int, message: dict[str, Any]) -> Event:
    body = {"type": COMPLETE, "message_id": message_id, "seq": seq, "message": message}
    return Event(seq, COMPLETE, dump_line(body))


def error(message_id: UUID, seq: int, code: str, detail: str) -> Event:
    body = {
        "type": ERROR,
        "message_id": message_id,
        "seq": seq,
        "code": code,
        "detail": detail,
    }
    return Event(seq, ERROR, dump_line(body))


def timestamp(moment: datetime | None) -> str | None:
    """UTC, ISO 8601 with `Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def usage_fields(usage: dict[str, Any] | None) -> dict[str, Any] | None:
    """`usage` with its cost (billionths) as the decimal string of the wire."""
    return usage and usage | {"cost": as_decimal(usage["cost"])}


def message_fields(message: Message, *, siblings: Sequence[UUID]) -> dict[str, Any]:
    """`message` as API.md shows it; `siblings` are the ids of all that share parent and role."""
    return {
        "id": message.id,
        "conversation_id": message.conversation_id,
        "parent_id": message.parent_id,
        "role": message.role,
        "content": message.content,
        "reasoning": message.reasoning,
        "tool_calls": message.tool_calls,
        "sources": message.sources,
        "status": message.status,
        "model": message.model,
        "fallback": message.fallback,
        "usage": usage_fields(message.usage()),
        "seconds": message.seconds,
        "context": message.context,
        "error": (
            {"code": message.error_code, "detail": message.error_detail}
            if message.error_code
            else None
        ),
        "feedback": message.feedback(),
        "attachments": [],
        "siblings": list(siblings),
        "created_at": timestamp(message.created_at),
        "edited_at": timestamp(message.edited_at),
    }
