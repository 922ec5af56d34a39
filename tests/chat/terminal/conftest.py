"""A person, a scripted model, and a terminal to talk in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import User
from models_registry.models import ChatModel, Connection
from tests.chat.terminal.running import Terminal
from tests.models_registry.upstream import Upstream


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "data")


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_user("ada", "ada@example.org", "correct horse battery")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def echo(ada: User, upstream: Upstream) -> ChatModel:
    """The one model there is, besides the built-in one; `upstream.script` says what it answers."""
    return make_model("echo", upstream)


def make_model(name: str, upstream: Upstream) -> ChatModel:
    connection = Connection.objects.create(
        name=f"{name} server", provider="openai_compatible", base_url=upstream.url
    )
    return ChatModel.objects.create(
        name=name,
        connection=connection,
        upstream_name=name,
        everyone=True,
        input_price=2_000_000_000,
        output_price=6_000_000_000,
    )
