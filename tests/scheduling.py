"""In which order tests are played: the long ones first, so that none waits alone."""

from __future__ import annotations

import pytest

# Each of a document's examples begins a process; the documents need nothing of one another.
DOCUMENTS = "tests/e2e/test_documents.py"
PROCESSES = ("tests/e2e/", "tests/chat/terminal/")


def longest_first(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(DOCUMENTS))
    items.sort(key=lambda item: not item.nodeid.startswith(PROCESSES))
