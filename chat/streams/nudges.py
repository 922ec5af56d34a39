"""What chat tells other processes to look at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from chat.streams.hub import hub
from common.nudges import nudge

if TYPE_CHECKING:
    from uuid import UUID

    from chat.streams.events import TurnRef
    from quotas.models import QuotaWarning


def user_group(user_id: UUID) -> str:
    """The group of all sockets of a person."""
    return f"user.{user_id}"


def conversation_changed(user_id: UUID, conversation_id: UUID) -> None:
    """Tell a person's sockets that a job changed what a conversation's row says. Any thread."""
    news = {"type": "conversation.changed", "conversation": str(conversation_id)}
    _tell(user_id, news)


def credentials_ended(user_id: UUID) -> None:
    """Tell a person's sockets, in every process, to ask whether they may stay. Any thread."""
    news = {"type": "credentials.ended"}
    _tell(user_id, news)


def quota_warned(warning: QuotaWarning) -> None:
    """Tell a person's sockets, in every process, that a limit comes to its end. Any thread."""
    news = {
        "type": "quota.warned",
        "warning": str(warning.pk),
        "limit": warning.limit,
        "percent": warning.percent,
    }
    _tell(warning.user_id, news)


def turn_began(ref: TurnRef) -> None:
    """Tell a person's sockets, in every process, that a turn has begun. Any thread."""
    if ref.user_id is None or ref.conversation_id is None:
        return
    news = {
        "type": "turn.began",
        "turn": str(ref.turn_id),
        "message": str(ref.message_id),
        "conversation": str(ref.conversation_id),
    }
    _tell(ref.user_id, news)


def _tell(user_id: UUID, news: dict[str, Any]) -> None:
    """Never raises: what is announced has happened, and whoever missed it finds it by a look."""
    loop = hub.loop
    if loop is None or loop.is_closed():  # a command, or a server that is gone
        return
    said = nudge(user_group(user_id), news)
    try:
        asyncio.run_coroutine_threadsafe(said, loop)
    except RuntimeError:  # it was closed just now
        said.close()
