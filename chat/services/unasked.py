"""Turns that nobody asked for: a job has a model write something, on the deployment's account."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog
from django.conf import settings

from chat.models import Turn
from chat.services.answers import answer_of
from chat.turns.idempotency import UNCLAIMED
from chat.turns.prepare import begin_stateless, begun
from chat.turns.runner import runner
from common import lifecycle
from common.db import in_thread, release_connection
from common.errors import AppError
from models_registry.tokens import count_messages
from quotas.models import Payer

if TYPE_CHECKING:
    from chat.streams.events import TurnRef
    from chat.turns.choosing import Asked

logger = structlog.get_logger(__name__)

Claimed = TypeVar("Claimed")


class UnaskedJob(Generic[Claimed]):
    """A job that takes on what is due and has models `write` it, all at once.

    It waits for its models, in a thread that others need too: one of them at a time is enough.
    `failed` is what the log says of one that could not be written.
    """

    def __init__(self, write: Callable[[Claimed], Awaitable[None]], *, failed: str) -> None:
        self._write = write
        self._failed = failed
        self._running = threading.Lock()

    def run(self, claims: Callable[[], Iterable[Claimed | None]]) -> int:
        """How many `claims` took on: none while it runs already, or the server drains."""
        if lifecycle.draining or not self._running.acquire(blocking=False):
            return 0
        try:
            claimed = [each for each in claims() if each is not None]
            release_connection()
            if claimed:
                runner.wait_for(self._write_all(claimed))
            return len(claimed)
        finally:
            self._running.release()

    async def _write_all(self, claimed: list[Claimed]) -> None:
        done = await asyncio.gather(*map(self._write, claimed), return_exceptions=True)
        for failure in filter(None, done):
            logger.error(self._failed, exc_info=failure)


async def written(asked: Asked, messages: list[dict[str, Any]], *, purpose: str) -> str:
    """What the model writes, "" when it was refused, failed or took UNASKED_TURN_SECONDS.

    Without the thoughts that some put before it. Runs on the runner's loop.
    """
    try:
        async with asyncio.timeout(settings.UNASKED_TURN_SECONDS):
            ref = await in_thread(_begin)(asked, messages, purpose)
            # Nobody reads the turn any more once we leave: that stops it.
            answer = await answer_of(ref)
    except (AppError, TimeoutError) as error:
        logger.info("Nothing was written for a job.", purpose=purpose, error=type(error).__name__)
        return ""
    message = answer.message
    if message is None or message["status"] != Turn.Status.COMPLETE:
        return ""
    return str(message["content"]).rpartition("</think>")[2].strip()


def _begin(asked: Asked, messages: list[dict[str, Any]], purpose: str) -> TurnRef:
    tokens = count_messages(messages, asked.routes[0].encoding)
    deployments = replace(asked, payer=Payer())
    return begun(
        partial(
            begin_stateless,
            deployments,
            messages,
            prompt_tokens=tokens,
            purpose=purpose,
            claim=UNCLAIMED,
        )
    )
