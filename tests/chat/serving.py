"""What tests of chat's edges share: people with tokens, and turns on the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from accounts.models import User
from accounts.services.callers import Caller
from accounts.services.sign_ins import open_for
from accounts.services.tokens import issue
from chat.turns.runner import runner


def token_of(user: User) -> str:
    """A fresh access token of a device of its own."""
    return issue(open_for(user)).access_token


@pytest.fixture
async def serving(transactional_db: None) -> AsyncIterator[None]:
    """Turns, looks and nudges run on this test's loop, as in a server."""
    await asyncio.to_thread(runner.close_from_thread)  # the loop that an earlier test was given
    await runner.serve()
    yield
    await runner.close()


@pytest.fixture
def token(alice: Caller) -> str:
    return token_of(alice.user)


@pytest.fixture
def stranger(charlie: Caller) -> str:
    """Charlie's token."""
    return token_of(charlie.user)
