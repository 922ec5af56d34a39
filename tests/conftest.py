"""What every test stands on: a clean slate, no network but loopback, connections given back."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import connections
from django.test import TransactionTestCase

from common import rates
from tests import canaries, emptying
from tests.row_results import RowResults
from tests.scheduling import PROCESSES, longest_first
from tests.server import Server, running

TransactionTestCase._fixture_teardown = emptying.empty  # type: ignore[attr-defined]  # noqa: SLF001

# A shell gives what it starts with `&` a deaf ear for Ctrl-C, and so do we to our servers.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RowResults(config))
    config.pluginmanager.register(canaries)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.workers import Scheduling  # noqa: PLC0415 whoever asks has xdist, others need not

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)
    for item in items:
        if item.nodeid.startswith(PROCESSES):
            # What they play runs in processes that nobody traces; tracing only delays the asking.
            item.add_marker(pytest.mark.no_cover)
    # An async test's rows are written by other threads: only a transactional test removes them.
    wrong = [
        item.nodeid
        for item in items
        if inspect.iscoroutinefunction(getattr(item, "function", None))
        for mark in item.iter_markers("django_db")
        if not mark.kwargs.get("transaction")
    ]
    if wrong:
        names = "\n".join(wrong)
        raise pytest.UsageError(f"async tests need django_db(transaction=True):\n{names}")


def pytest_collection_finish() -> None:
    # As a server does; else a tenth of the suite's time goes into looking for garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(autouse=True)
def _clean_slate() -> Iterator[None]:
    rates.forget_everything()
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(scope="session", autouse=True)
def _connections_given_back(django_db_setup: None) -> Iterator[None]:
    """Close what async tests opened in asgiref's thread, else the database cannot be dropped."""
    yield
    asyncio.run(sync_to_async(connections.close_all)())


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One real server for all tests that leave it as they found it."""
    with running(tmp_path_factory.mktemp("server"), first_start=True) as server:
        yield server


@pytest.fixture
def server_at(tmp_path: Path) -> Callable[..., AbstractContextManager[Server]]:
    """`with server_at(NAME="value") as server:` a real server with these variables."""
    return functools.partial(running, tmp_path / "data")
