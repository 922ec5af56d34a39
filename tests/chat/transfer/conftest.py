from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from accounts.services.callers import Caller
from chat.services.importing import FileImported, import_file
from tests.chat.api.rest import Rest
from tests.chat.serving import serving, stranger, token

__all__ = ["serving", "stranger", "token"]


@pytest.fixture
def rest(token: str) -> Rest:
    return Rest(token)


@pytest.fixture
def take(alice: Caller) -> Callable[[Any], FileImported]:
    """Import a file, or what is to be one, for Alice."""

    def take(file: Any) -> FileImported:
        return import_file(alice, file if isinstance(file, bytes) else json.dumps(file).encode())

    return take
