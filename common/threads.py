"""The threads that requests run in: kept warm, and lent for one step at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from django.db import close_old_connections, connections

P = ParamSpec("P")
R = TypeVar("R")

_Jobs = SimpleQueue[tuple[Future[Any], Callable[[], Any]]]
_KEPT = 32


class WarmThreads(Executor):
    """Runs what it is given at once, in an idle thread if there is one.

    asgiref's own way is a new thread for each request, and another one to end it: a tenth of what
    a turn cost. After each step the thread gives its database connection back, so that the next
    step of a request may run in any other.
    """

    def __init__(self, *, kept: int = _KEPT) -> None:
        self._kept = kept
        self._idle: list[_Jobs] = []

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future: Future[R] = Future()
        try:
            # The one that worked last: its caches are warm, and the others may be let go.
            jobs = self._idle.pop()
        except IndexError:
            jobs = SimpleQueue()
            threading.Thread(target=self._work, args=(jobs,), name="request", daemon=True).start()
        jobs.put((future, partial(fn, *args, **kwargs)))
        return future

    def _work(self, jobs: _Jobs) -> None:
        is_kept = True
        try:
            while is_kept:
                future, work = jobs.get()
                tell = _done(future, work)
                close_old_connections()
                is_kept = len(self._idle) < self._kept
                if is_kept:
                    # Before anybody hears of the end: the next step may come at once.
                    self._idle.append(jobs)
                tell()
                del future, work, tell
        finally:
            connections.close_all()


def _done(future: Future[Any], work: Callable[[], Any]) -> Callable[[], None]:
    """Do `work`; what is returned tells the future."""
    if not future.set_running_or_notify_cancel():
        return _nothing
    try:
        return partial(future.set_result, work())
    except BaseException as exc:  # noqa: BLE001 the future brings it to whoever waits
        return partial(future.set_exception, exc)


def _nothing() -> None:
    """Nobody waits any more."""


request_threads = WarmThreads()
