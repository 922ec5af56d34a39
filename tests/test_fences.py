"""Every fenced block of every document is played, or something else holds it."""

from __future__ import annotations

import re
import subprocess
import tomllib

from tests.e2e.documents import ELSEWHERE, PLAYED, Block, blocks
from tests.e2e.test_documents import DOCUMENTS
from tests.server import ROOT

ALL = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()
TWIN = "README.zh-CN.md"  # tests/test_packaging.py: its blocks are those of README.md
HELD = {
    ("README.md", ""): "two commands: tests/test_packaging.py reads both, .ci/run runs the second",
    ("CONTRIBUTING.md", ""): "a message of a commit",
    ("docs/architecture.md", ""): "the stack of apps, below",
    ("docs/openai-compatible.md", "javascript"): "played by tests/e2e/test_openai_clients.py, whose"
    " client for Node is told the same in tests/clients/ask.mjs",
    ("docs/openai-compatible.md", "yaml"): "settings of programs that are no part of this project",
    ("docs/quotas.md", "json"): "a refusal: tests/e2e/test_quotas.py",
    ("docs/getting-started.md", "text"): "what the example before it shows, which is compared",
    ("docs/troubleshooting.md", "text"): "what is said: tests/e2e/test_troubleshooting.py",
}


def is_played(block: Block) -> bool:
    if block.needs:
        return block.needs in ELSEWHERE
    return block.language in PLAYED and block.document in DOCUMENTS


def test_no_block_of_any_document_is_left_out():
    left_out = {
        (block.document, block.language)
        for document in ALL
        if document != TWIN
        for block in blocks(document)
        if not is_played(block)
    }

    assert set(DOCUMENTS) < set(ALL)
    assert left_out == HELD.keys()


def test_no_fence_is_one_that_we_do_not_see():
    """Indented, longer, of tildes, or of a language with a sign in its name."""
    for document in ALL:
        text = (ROOT / document).read_text(encoding="utf-8")
        fences = re.findall(r"(?m)^[ >]*(?:```|~~~)", text)

        assert len(fences) == 2 * len(blocks(document)), document


def test_the_stack_of_apps_is_drawn_as_the_linter_holds_it():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = linter["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["id"] == "apps")

    drawn = next(block for block in blocks("docs/architecture.md") if not block.language)

    assert [line.split()[0] for line in drawn.code.splitlines()] == layers
