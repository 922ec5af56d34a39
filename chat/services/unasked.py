"""Turns that nobody asked for: a job has a model write something, on the deployment's account."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from chat.models import Turn
from chat.services.answers import answer_of
from chat.turns.idempotency import UNCLAIMED
from chat.turns.prepare import begin_stateless
from common.db import in_thread, write_transaction
from common.errors import AppError
from models_registry.tokens import count_messages

if TYPE_CHECKING:
    from chat.streams.events import TurnRef
    from chat.turns.prepare import Asked


logger = structlog.get_logger(__name__)


async def written(asked: Asked, messages: list[dict[str, Any]], *, purpose: str) -> str:
    """What the model writes, "" when it was refused, failed or took UNASKED_TURN_SECONDS.

    Runs on the runner's loop.
    """
    try:
        async with asyncio.timeout(settings.UNASKED_TURN_SECONDS):
            ref = await in_thread(_begin)(asked, messages, purpose)
            # Nobody reads the turn any more once we leave: that stops it.
            answer = await answer_of(ref)
    except (AppError, TimeoutError) as error:
        logger.info("unasked_turn_refused", purpose=purpose, error=type(error).__name__)
        return ""
    message = answer.message
    if message is None or message["status"] != Turn.Status.COMPLETE:
        return ""
    return str(message["content"])


def _begin(asked: Asked, messages: list[dict[str, Any]], purpose: str) -> TurnRef:
    tokens = count_messages(messages, asked.routes[0].encoding)
    with write_transaction():
        return begin_stateless(
            asked,
            messages,
            prompt_tokens=tokens,
            purpose=purpose,
            claim=UNCLAIMED,
            user_id=None,
        )
