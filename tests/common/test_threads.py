"""Requests run in threads that wait for the next one."""

from __future__ import annotations

import threading
from concurrent.futures import wait

import pytest

from common.threads import WarmThreads

PATIENCE_SECONDS = 10


def test_one_step_after_another_runs_in_one_thread():
    threads = WarmThreads()

    names = {threads.submit(threading.get_ident).result(PATIENCE_SECONDS) for _ in range(50)}

    assert len(names) == 1


def test_nobody_waits_for_the_work_of_another():
    threads = WarmThreads(kept=2)
    meeting = threading.Barrier(20)

    met = [threads.submit(meeting.wait, PATIENCE_SECONDS) for _ in range(20)]

    assert not wait(met, PATIENCE_SECONDS).not_done


def test_a_failure_reaches_who_waits_and_leaves_the_thread_fit():
    threads = WarmThreads()
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 1, 0).result(PATIENCE_SECONDS)

    assert threads.submit(divmod, 7, 2).result(PATIENCE_SECONDS) == (3, 1)
