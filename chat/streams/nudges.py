"""What chat tells other processes to look at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

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
    if hub.loop is None:
        return
    news = {"type": "conversation.changed", "conversation": str(conversation_id)}
    asyncio.run_coroutine_threadsafe(nudge(user_group(user_id), news), hub.loop)


def credentials_ended(user_id: UUID) -> None:
    """Tell a person's sockets, in every process, to ask whether they may stay. Any thread."""
    if hub.loop is None:
        return
    news = {"type": "credentials.ended"}
    asyncio.run_coroutine_threadsafe(nudge(user_group(user_id), news), hub.loop)


def quota_warned(warning: QuotaWarning) -> None:
    """Tell a person's sockets, in every process, that a limit comes to its end. Any thread."""
    if hub.loop is None:
        return
    news = {
        "type": "quota.warned",
        "warning": str(warning.pk),
        "limit": warning.limit,
        "percent": warning.percent,
    }
    asyncio.run_coroutine_threadsafe(nudge(user_group(warning.user_id), news), hub.loop)


def turn_began(ref: TurnRef) -> None:
    """Tell a person's sockets, in every process, that a turn has begun. Any thread."""
    if ref.user_id is None or ref.conversation_id is None or hub.loop is None:
        return
    news = {
        "type": "turn.began",
        "turn": str(ref.turn_id),
        "message": str(ref.message_id),
        "conversation": str(ref.conversation_id),
    }
    asyncio.run_coroutine_threadsafe(nudge(user_group(ref.user_id), news), hub.loop)
