"""What a turn carries while it runs: plain values, no row and no connection."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from chat.models import Turn

if TYPE_CHECKING:
    import asyncio

    from chat.streams.events import TurnRef
    from chat.streams.log import TurnLog
    from chat.turns.collected import Collected
    from chat.turns.tools import ToolTable
    from common.errors import AppError
    from models_registry.providers.base import ChatRequest, Route, Usage


@dataclass(slots=True)
class PreparedTurn:
    """A turn whose rows are committed, ready for the runner.

    `routes` are the model asked for, then its fallbacks. `prompt_tokens` is our own count.
    `siblings` are the ids that the answer's message shares parent and role with.
    """

    ref: TurnRef
    purpose: str
    routes: list[Route]
    request: ChatRequest
    prompt_tokens: int
    siblings: list[UUID]
    started_at: datetime
    epoch: int = 0
    request_id: str = ""
    # A turn without a conversation and without a key is owed one reader.
    needs_reader: bool = False
    keeps_answer: bool = False
    # How often providers are asked, over all models; None where each has its own tries.
    tries_in_all: int | None = None
    tools: ToolTable = field(default_factory=dict)


@dataclass(slots=True)
class PhaseOutcome:
    """How the provider phase ended, as far as the provider and its watcher know."""

    status: str = Turn.Status.COMPLETE
    error: AppError | None = None
    route: Route | None = None
    # Why the model ended its answer; "" where it did not.
    finish_reason: str = ""
    usage: Usage | None = None
    # The request whose count the provider still owes.
    uncounted: Collected | None = None
    # The answer whose calls are not among `tool_calls` yet: they have not all come, or not run.
    unfinished: Collected | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class RunningTurn:
    """A turn in flight, owned by this process.

    Times are monotonic seconds, `touched` by the loop's own clock. `closing` is set before
    `finish_turn`: from then on nobody cancels anything of it. `cut` says why the provider phase
    was ended from outside. `route` is the model that speaks, from its first token.
    """

    prepared: PreparedTurn
    log: TurnLog
    began: float = field(default_factory=time.monotonic)
    touched: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    route: Route | None = None
    saved_seq: int = -1
    cut: str = ""
    closing: bool = False
    unread_since: float | None = None
    phase: asyncio.Task[PhaseOutcome] | None = None
    timer: asyncio.Timeout | None = None

    def end_phase(self, reason: str) -> None:
        """Stop asking the provider: `person`, `claim`, `shutdown`, or `gone` (the row ended).

        The first reason counts. Never reaches `finish_turn`.
        """
        if self.closing or self.cut:
            return
        self.cut = reason
        self.press()

    def press(self) -> None:
        """Cancel a phase that is to end, and again: what it waits for may swallow a cancel."""
        if self.cut and self.phase is not None and not self.phase.done():
            self.phase.cancel()
