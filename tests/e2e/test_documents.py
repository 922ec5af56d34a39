"""What the README and the guides show works as it is written, example by example.

`tests/e2e/documents.py` says what an example is, and which words excuse one. A block of text behind
an example is what it shows: each of its lines must come, `…` stands for anything.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import PAIRED, database
from tests.e2e.documents import ELSEWHERE, PASSWORD, PLAYED, Block, Reader, blocks, vendors
from tests.models_registry.upstream import Upstream
from tests.server import ROOT

README = "README.md"
DOCUMENTS = [README, *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]
# Who is there already when a reader of these begins.
PEOPLE = {
    "docs/openai-compatible.md": "ada",
    "docs/providers.md": "mina",
    "docs/quotas.md": "mina",
    "docs/self-hosting.md": "mina",
    "docs/terminal.md": "ada",
}
EXCUSED_AT_MOST = 12
_TWO = "needs-postgresql"


@pytest.fixture(scope="module")
def answering() -> Iterator[dict[str, Upstream]]:
    started = vendors()
    yield started
    for upstream in started.values():
        upstream.close()


@pytest.fixture
def reader(tmp_path: Path, answering: dict[str, Upstream]) -> Iterator[Reader]:
    with database() as shared:
        reader = Reader(tmp_path, answering, database=shared.get("DATABASE_URL", ""))
        yield reader
        reader.rest()


def _examples(document: str) -> list[Block]:
    return [
        block
        for block in blocks(document)
        if block.language in PLAYED and (not block.needs or (block.needs == _TWO and PAIRED))
    ]


def _is_played(document: str) -> bool:
    """Once on SQLite; on PostgreSQL and Redis again where an example is about them."""
    examples = _examples(document)
    return bool(examples) and (not PAIRED or any(block.needs == _TWO for block in examples))


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if _is_played(name)])
def test_every_example_of_a_document_runs_after_the_one_before(reader, document):
    if name := PEOPLE.get(document):
        person = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        made = reader.be_served().request("/api/v1/auth/register", method="POST", body=person)
        assert made.status == 201

    whole = blocks(document)
    for block, next_one in zip(whole, [*whole[1:], None], strict=True):
        if block not in _examples(document):
            continue
        shown = reader.play(block)

        if next_one is not None and next_one.language == "text":
            for line in next_one.code.splitlines():
                pattern = re.escape(line).replace("…", ".*").replace("8000", r"\d+")
                assert re.search(f"(?m)^{pattern}$", shown), (line, shown)

        events = re.findall(r"(?m)^event: (\w+)$", shown)
        assert not events or events[-1] == "chat_complete", shown
        if block.language == "bash" and "messages/stream" in block.code:
            assert events[0] == "chat_start", shown


def test_few_examples_are_excused_and_each_says_why():
    excused = Counter(block.needs for name in DOCUMENTS for block in blocks(name) if block.needs)

    assert excused.keys() <= ELSEWHERE.keys()
    assert sum(excused.values()) <= EXCUSED_AT_MOST
