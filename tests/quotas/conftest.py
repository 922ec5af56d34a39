"""Tables to hold and settle in."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Threads take part."""
