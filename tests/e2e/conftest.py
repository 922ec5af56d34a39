"""Real servers with a provider on loopback: one on SQLite, or a pair on PostgreSQL and Redis."""

from __future__ import annotations

import atexit
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from tests.e2e.person import Person, register
from tests.models_registry.upstream import Upstream
from tests.server import Server, environment, launch, manage, wait_until_ready

POSTGRESQL = os.environ.get("DATABASE_URL", "")
REDIS = os.environ.get("REDIS_URL", "")
PAIRED = POSTGRESQL.startswith("postgres") and bool(REDIS)

# For modules whose servers have databases of their own choice, whatever the suite runs on.
once = pytest.mark.skipif(PAIRED, reason="the same on every database: played in the run on SQLite")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    provider = Upstream()
    yield provider
    provider.close()


@pytest.fixture(autouse=True)
def _fresh_wire(upstream: Upstream) -> None:
    upstream.requests.clear()


@contextmanager
def database(*, template: str = "template1") -> Iterator[dict[str, str]]:
    """A database of its own for the servers of one test, as their environment."""
    if not PAIRED:
        yield {}
        return
    name = f"parley_e2e_{uuid4().hex[:12]}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            address = urlunsplit(urlsplit(POSTGRESQL)._replace(path=f"/{name}"))
            yield {"DATABASE_URL": address, "REDIS_URL": REDIS}
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@functools.cache
def _migrated() -> str:
    """The name of a database with its tables, made once for all servers of this process."""
    made = ExitStack()
    atexit.register(made.close)
    shared = made.enter_context(database())
    folder = Path(made.enter_context(tempfile.TemporaryDirectory(prefix="parley-tests-")))
    migrated = manage("migrate", environ=environment(folder, port=8139, **shared))
    assert migrated.returncode == 0, migrated.stderr
    return urlsplit(shared["DATABASE_URL"]).path.strip("/")


@contextmanager
def serving(data_dir: Path, upstream: Upstream, **environ: str) -> Iterator[list[Server]]:
    """Two servers on one database, or the one that SQLite allows, twice."""
    with ExitStack() as stack:
        shared = stack.enter_context(database(template=_migrated() if PAIRED else ""))
        variables = {**upstream.environ, **shared, **environ}
        servers: list[Server] = []
        for _number in range(2 if PAIRED else 1):
            server = launch(data_dir, **variables)
            stack.callback(server.stop)
            wait_until_ready(server)
            servers.append(server)
        yield servers if PAIRED else servers * 2


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[list[Server]]:
    """Servers for all tests of a module that leave them running."""
    with serving(tmp_path_factory.mktemp("servers"), upstream) as started:
        yield started


@pytest.fixture
def servers_at(
    tmp_path: Path, upstream: Upstream
) -> Callable[..., AbstractContextManager[list[Server]]]:
    """`with servers_at(NAME="value") as (first, second):` servers that a test may end."""
    return functools.partial(serving, tmp_path / "data", upstream)


@pytest.fixture
def person(servers: list[Server]) -> Person:
    return register(servers[0])
