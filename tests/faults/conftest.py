"""Servers for faults: a provider with pauses, a Redis and a PostgreSQL to be stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.faults.deployment import Deployment, deployed
from tests.faults.own_services import OwnPostgreSQL, OwnRedis
from tests.faults.provider import Provider
from tests.server import Server, running


@pytest.fixture(scope="module")
def upstream() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.close()


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    yield from OwnRedis.fixture(tmp_path_factory.mktemp("redis"))


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[OwnPostgreSQL]:
    yield from OwnPostgreSQL.fixture()


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: Provider,
    own_postgresql: OwnPostgreSQL,
    own_redis: OwnRedis,
) -> Iterator[Deployment]:
    """Two web processes, a worker and a beat; each test of a module leaves all of them running."""
    folder = tmp_path_factory.mktemp("deployment")
    with deployed(folder, upstream, (own_postgresql, own_redis)) as started:
        yield started


@contextmanager
def one_server(data_dir: Path, upstream: Provider, **environ: str) -> Iterator[Server]:
    """A server whose models answer as the provider is told to."""
    with running(data_dir, **{**upstream.environ, **environ}) as server:
        yield server


@pytest.fixture
def alone(tmp_path: Path, upstream: Provider) -> Callable[..., AbstractContextManager[Server]]:
    """`with alone(NAME="value") as server:` one on SQLite and without Redis, unless told."""
    return partial(one_server, tmp_path / "data", upstream)


@pytest.fixture(autouse=True)
def _fresh_wire(upstream: Provider) -> None:
    upstream.requests.clear()
