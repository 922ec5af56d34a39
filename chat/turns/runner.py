"""The process's runner: one event loop that runs all its turns and all provider I/O.

In a server it is the server's loop; in a worker or a command it is a loop in a daemon thread,
made on first use. Turns are handed over from any thread and belong to the process from then on.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID, uuid4

import structlog
from constance import config
from django.conf import settings

from chat.models import Turn
from chat.streams import nudges
from chat.streams.hub import hub
from chat.streams.mirror import Mirror
from chat.turns.checkpoints import Checkpoint, save_checkpoints
from chat.turns.in_flight import RunningTurn
from chat.turns.places import Places
from chat.turns.running import run_turn
from chat.turns.tending import SERVER, Tender
from common import lifecycle, lookout
from common.db import in_thread
from common.errors import RateLimited, Unavailable
from models_registry.providers.factory import close_providers

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from chat.streams.events import Event, TurnRef
    from chat.turns.in_flight import PreparedTurn

logger = structlog.get_logger(__name__)

R = TypeVar("R")

COMMAND = "command"
# What a finishing turn may take at most once the process wants to end, in seconds.
_FINISH_SECONDS = 5
# How often a process that wants to end looks whether turns are left, in seconds.
_LOOK_SECONDS = 0.05


class Runner:
    """Owns the turns of this process from launch to end."""

    def __init__(self) -> None:
        self.owner = f"{COMMAND}-{uuid4().hex}"
        self.loop: asyncio.AbstractEventLoop | None = None
        self.turns: dict[UUID, RunningTurn] = {}
        self.executor = ThreadPoolExecutor(2, thread_name_prefix="turns")
        self._starting = threading.Lock()
        self._places = Places()
        self._tasks: set[asyncio.Task[None]] = set()
        self._services: list[asyncio.Task[None]] = []

    # -- starting --------------------------------------------------------------------------
    async def serve(self) -> None:
        """Run turns on the calling loop: a server's start-up hook."""
        self.owner = f"{SERVER}-{uuid4().hex}"
        self._begin(asyncio.get_running_loop())
        if not settings.REDIS_URL:
            await Tender(self.owner, self.turns).close_what_servers_left()

    def ensure(self) -> None:
        """Have a loop: the server's, or one of our own in a daemon thread."""
        with self._starting:
            if self.loop is not None and self.loop.is_running():
                return
            ready = threading.Event()
            threading.Thread(target=self._own_loop, args=(ready,), daemon=True).start()
            ready.wait()

    def _own_loop(self, ready: threading.Event) -> None:
        async def main() -> None:
            self._begin(asyncio.get_running_loop())
            ready.set()
            await asyncio.Event().wait()

        asyncio.run(main())

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        url = settings.REDIS_URL
        mirror = Mirror(url, self.owner, on_stop=self._stop_here) if url else None
        hub.attach(loop, mirror)
        tender = Tender(self.owner, self.turns)
        self._services = [
            loop.create_task(service, context=contextvars.Context())
            for service in (
                self._keep_checkpoints(),
                self._keep_watch(),
                lookout.keep_looking(hub.look, tender.look),
            )
        ]

    # -- turns -----------------------------------------------------------------------------
    def launch(self, prepared: PreparedTurn, start: Event) -> None:
        """Begin a committed turn, from any thread."""
        self.ensure()
        # What nobody asked for is read by the job that did it, and is nobody's in Redis: whoever
        # erases the person of whom it tells would not find it there.
        log = hub.open(prepared.ref, start, shared=prepared.purpose not in Turn.UNASKED)
        turn = self.turns[prepared.ref.turn_id] = RunningTurn(prepared, log)
        if self.loop is None:
            raise Unavailable()
        self.loop.call_soon_threadsafe(self._spawn, turn)
        if prepared.ref.user_id is not None:
            nudges.turn_began(prepared.ref)

    def _spawn(self, turn: RunningTurn) -> None:
        hub.changed(turn.log)
        # An empty context: one that is inherited holds the request's thread executor, which is
        # gone when the turn wants to finish.
        task = asyncio.get_running_loop().create_task(
            run_turn(turn, self.executor), context=contextvars.Context()
        )
        self._tasks.add(task)

        def forget(done: asyncio.Task[None]) -> None:
            if not done.cancelled() and (error := done.exception()):
                logger.error(
                    "The end of an answer was not stored. It is closed once it has stood still for"
                    " a while. See to the database (DATABASE_URL), and to the room on its disk.",
                    turn=str(turn.prepared.ref.turn_id),
                    exc_info=error,
                )
            self._tasks.discard(done)
            self._places.give_back(turn.prepared.ref.turn_id)
            hub.let_go(turn.log)
            # Last: who no longer finds it among the turns finds everything else done.
            self.turns.pop(turn.prepared.ref.turn_id, None)

        task.add_done_callback(forget)

    def take_place(self, ref: TurnRef) -> None:
        """Count a turn, about to be committed, among those that run here; raises RateLimited where
        there is no place for it (E5, R6)."""
        most = config.running_turns_per_user
        if not self._places.take(ref.turn_id, ref.user_id, most=most, of=settings.TURN_SLOTS):
            raise RateLimited(retry_after=5)

    def give_place_back(self, ref: TurnRef) -> None:
        """The turn was not committed after all."""
        self._places.give_back(ref.turn_id)

    def stop(self, turn_id: UUID, reason: str) -> bool:
        """End the provider phase of one of our turns; False when it is not ours. Any thread."""
        turn = self.turns.get(turn_id)
        if turn is None or self.loop is None:
            return False
        self.loop.call_soon_threadsafe(turn.end_phase, reason)
        return True

    def submit(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` on the runner's loop, from any thread, without waiting for it."""
        self.ensure()
        if self.loop is not None:
            asyncio.run_coroutine_threadsafe(work, self.loop).add_done_callback(_tell_failure)

    def wait_for(self, work: Coroutine[Any, Any, R]) -> R:
        """Run `work` on the runner's loop and wait for it: for the thread of a job."""
        self.ensure()
        if self.loop is None:
            raise Unavailable()
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def _stop_here(self, turn_id: UUID) -> None:
        self.stop(turn_id, Turn.StopReason.PERSON)

    # -- what runs beside them -------------------------------------------------------------
    async def _keep_checkpoints(self) -> None:
        while True:
            await asyncio.sleep(settings.CHECKPOINT_SECONDS)
            try:
                await self._checkpoint()
            except Exception as exc:  # noqa: BLE001 the next second may have the database back
                logger.warning(
                    "Answers that are being written were not saved; the next second tries again."
                    " See to the database (DATABASE_URL), and to the room on its disk.",
                    error=type(exc).__name__,
                )

    async def _checkpoint(self) -> None:
        turns = [turn for turn in list(self.turns.values()) if not turn.closing]
        if not turns:
            return
        due = [_checkpoint_of(turn) for turn in turns]
        report = await in_thread(save_checkpoints, executor=self.executor)(due)
        for turn, saved in zip(turns, due, strict=True):
            if saved.turn_id not in report.skipped:
                turn.saved_seq = saved.last_seq
            if saved.turn_id in report.ended:
                turn.end_phase("gone")
            elif reason := report.stops.get(saved.turn_id):
                turn.end_phase(reason)

    async def _keep_watch(self) -> None:
        """Deadlines of all turns by one timer: silence, and turns that nobody came to read."""
        while True:
            await asyncio.sleep(settings.WATCH_SECONDS)
            try:
                self._watch(asyncio.get_running_loop().time())
            except Exception:  # every turn's deadline depends on the next tick
                logger.exception(
                    "A bug of Parley's: a look at the deadlines of answers failed, and is taken"
                    " again in a moment. Please report what follows."
                )

    def _watch(self, now: float) -> None:
        for turn in list(self.turns.values()):
            timer = turn.timer
            silent = now - turn.touched > settings.PROVIDER_SILENCE_SECONDS
            # One that has expired already waits for its provider to close.
            if silent and timer is not None and not timer.expired():
                timer.reschedule(now)
            _watch_reader(turn)
            turn.press()
        hub.sweep()
        self._places.sweep(self.turns)

    # -- ending ----------------------------------------------------------------------------
    async def drain(self) -> None:
        """Let running turns end within their grace, then end them `interrupted`.

        A turn that was being prepared as the end came is launched later, and has its grace too.
        """
        ends_at = time.monotonic() + lifecycle.grace()
        while self._places.taken and time.monotonic() < ends_at:  # noqa: ASYNC110 threads take them
            await asyncio.sleep(_LOOK_SECONDS)
        await self.end_all()

    async def end_all(self) -> None:
        for turn in list(self.turns.values()):
            turn.end_phase(Turn.StopReason.SHUTDOWN)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_FINISH_SECONDS)

    async def close(self) -> None:
        """Let go of everything; turns have ended."""
        await self.end_all()
        for service in self._services:
            service.cancel()
        await asyncio.gather(*self._services, return_exceptions=True)
        if hub.mirror is not None:
            await hub.mirror.close()
        await close_providers()
        hub.attach(asyncio.get_running_loop(), None)
        self.loop = None

    def close_from_thread(self) -> None:
        """The same for a command that is about to exit."""
        if self.loop is not None and self.loop.is_running():
            asyncio.run_coroutine_threadsafe(self.close(), self.loop).result(_FINISH_SECONDS * 2)


def _tell_failure(done: Future[Any]) -> None:
    """Nobody waits for submitted work, so its failure would be heard by nobody."""
    if not done.cancelled() and (error := done.exception()):
        logger.warning(
            "A stop or an end did not reach its answer; it is seen there a little later. See to the"
            " database (DATABASE_URL) and, where there is one, to Redis (REDIS_URL).",
            exc_info=error,
        )


def _checkpoint_of(turn: RunningTurn) -> Checkpoint:
    log, ref = turn.log, turn.prepared.ref
    if log.last_seq == turn.saved_seq:
        return Checkpoint(ref.turn_id, log.last_seq, None)
    text, reasoning = log.content, log.reasoning
    characters = len(text) + len(reasoning)
    if ref.conversation_id is None:
        # Of a turn without a conversation nothing that was said is kept, only how much it was.
        text = reasoning = ""
    answering = turn.prepared.routes.index(turn.route) if turn.route else None
    return Checkpoint(ref.turn_id, log.last_seq, text, reasoning, characters, answering)


def _watch_reader(turn: RunningTurn) -> None:
    """A turn without a conversation and without a key is owed one reader."""
    if not turn.prepared.needs_reader:
        return
    if turn.log.readers > 0:
        turn.unread_since = None
        return
    now = time.monotonic()
    turn.unread_since = turn.unread_since or now
    if turn.log.was_read or now - turn.unread_since > settings.UNREAD_TURN_SECONDS:
        turn.end_phase(Turn.StopReason.PERSON)


runner = Runner()


def refuse_when_draining() -> None:
    """Raises Unavailable once SIGTERM came: a new turn would be cut off."""
    if lifecycle.draining:
        raise Unavailable(retry_after=5)


lifecycle.on_startup(runner.serve)
lifecycle.on_drain(runner.drain)
lifecycle.on_shutdown(runner.close)
