"""docs/security.md and the tests name each other, and `make security-rows` tells of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bin import security_rows
from tests.e2e.conftest import once
from tests.server import ROOT

pytestmark = once

# What the design wants held by now; a gap is a row of a part that is not built yet.
WANTED = {
    "S": "1-15 17-20",
    "A": "1-8",
    "K": "1-12",
    "O": "1-11",
    "W": "1-14",
    "E": "1-10",
    "I": "1-12",
    "X": "3-5 8",
    "M": "1-2 5-7",
    "P": "7",
    "R": "1-11",
    "T": "1-8",
    "F": "1-19 21",
    "G": "1-5",
    "D": "1-4",
}
DOCUMENT = """# What must hold

| id | what holds | tests |
| --- | --- | --- |
| S1 | A token works once | `tests/test_a.py`, `tests/faults/test_slow.py` |
| S2 | `a|b` is refused | `tests/test_a.py` |
"""
# A tree of its own to be played; one of its tests is skipped, as a skipped one proves no row.
TESTS = {
    "tests/test_a.py": """
import pytest

@pytest.mark.row("S1", "S2")
@pytest.mark.parametrize("number", [1, 2])
def test_one(number):
    assert number != {wrong}

@pytest.mark.row("S2")
class TestMore:
    async def test_two(self):
        pytest.skip("not here")

def test_three():
    pass
""",
    "tests/faults/test_slow.py": """
import pytest

pytestmark = [pytest.mark.row("S1")]

def test_slow():
    pass
""",
}
SETTINGS = """
[pytest]
DJANGO_SETTINGS_MODULE = config.settings_test
asyncio_mode = auto
"""
CONFTEST = """
from tests.row_results import RowResults

def pytest_configure(config):
    config.addinivalue_line("markers", "row(*ids): its rows")
    config.pluginmanager.register(RowResults(config))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project of two rows and two files of tests."""
    write(tmp_path, security_rows.DOCUMENT, DOCUMENT)
    for name, source in TESTS.items():
        write(tmp_path, name, source.replace("{wrong}", "9"))
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def remember(root: Path, kind: str, **ended: tuple[str, str]) -> None:
    known = {f"tests/test_a.py::{name}": told for name, told in ended.items()}
    write(root, f".pytest_cache/v/rows/{kind}", json.dumps(known))


def told(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    status = security_rows.main(root)
    said, wrong = capsys.readouterr()
    return status, [" ".join(line.split()) for line in said.splitlines()], wrong


# --- of this project -----------------------------------------------------------------------


def test_this_projects_document_and_tests_agree():
    assert list(security_rows.faults()) == []


def test_this_projects_document_holds_every_row_that_is_due():
    wanted = [
        f"{letter}{number}"
        for letter, spans in WANTED.items()
        for span in spans.split()
        for number in range(int(span.split("-")[0]), int(span.split("-")[-1]) + 1)
    ]

    listed = [row.id for row in security_rows.rows()]
    assert sorted(listed) == sorted(wanted)
    assert [row.id for row in security_rows.rows() if len(row.holds) < 20] == []


# --- what the command says -----------------------------------------------------------------


def test_a_row_says_its_tests_and_that_they_were_not_played(tree, capsys):
    assert told(tree, capsys) == (
        0,
        [
            "S1 not run yet SQLite not run PostgreSQL not run faults not run"
            " tests/test_a.py, tests/faults/test_slow.py",
            "S2 not run yet SQLite not run PostgreSQL not run faults - tests/test_a.py",
        ],
        "",
    )


def test_a_row_passed_when_all_did_that_were_not_skipped_on_the_oldest_day(tree, capsys):
    remember(tree, "SQLite", test_one=("passed", "2030-01-02"), test_two=("passed", "2030-01-01"))
    remember(tree, "PostgreSQL", test_one=("passed", "2030-01-02"), test_two=("skipped", "2029"))

    _, (_, second), _ = told(tree, capsys)

    assert second.startswith("S2 passed SQLite 2030-01-01 PostgreSQL 2030-01-02 faults - ")


def test_a_row_of_which_a_test_was_never_played_says_so(tree, capsys):
    remember(tree, "SQLite", test_one=("passed", "2030-01-02"), gone=("failed", "2030-01-02"))

    status, (first, second), _ = told(tree, capsys)

    assert status == 0
    assert first.startswith("S1 in part SQLite 2030-01-02 PostgreSQL not run faults not run ")
    assert second.startswith("S2 in part SQLite 2030-01-02 (1 of 2) ")


def test_a_row_that_failed_stands_out_and_fails_the_command(tree, capsys):
    remember(tree, "SQLite", test_one=("passed", "2030-01-02"), test_two=("failed", "2030-01-03"))

    status, (first, second), wrong = told(tree, capsys)

    assert status == 1
    assert first.startswith("S1 in part SQLite 2030-01-02 ")
    assert second.startswith("S2 FAILED SQLite FAILED 2030-01-03 ")
    assert "last played: 1" in wrong


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("| `tests/test_a.py` |", "|  |", "S2: no test"),
        ("| S2 |", "| S1 |", "S1: more than one row has this id"),
        ("| S2 |", "| S3 |", "S2: tests/test_a.py::test_one names this row, docs/security.md"),
        (", `tests/faults/test_slow.py`", "", "S1: tests/faults/test_slow.py has a test that is"),
        ("faults/test_slow.py", "test_gone.py", "S1: no test of tests/test_gone.py is marked"),
    ],
)
def test_a_document_that_the_tests_contradict_fails_the_command(tree, capsys, before, after, fault):
    write(tree, security_rows.DOCUMENT, DOCUMENT.replace(before, after))

    status, _, wrong = told(tree, capsys)

    assert status == 1
    assert fault in wrong


# --- what a run writes down ----------------------------------------------------------------


def play(tree: Path, *arguments: str) -> None:
    """A real run in the toy's folder, on the database that this one has."""
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=tree,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **here()},
        capture_output=True,
        check=False,
        timeout=120,
    )


def here() -> dict[str, str]:
    kept = ("DATABASE_URL", "REDIS_URL")
    return {name: os.environ[name] for name in kept if name in os.environ}


def test_runs_add_up_one_file_forgets_nothing_of_the_others(tree, capsys):
    write(tree, "pytest.ini", SETTINGS)
    write(tree, "conftest.py", CONFTEST)
    play(tree, "-n", "1", "tests/test_a.py", "tests/faults/test_slow.py")
    _, at_first, _ = told(tree, capsys)

    write(tree, "tests/test_a.py", TESTS["tests/test_a.py"].replace("{wrong}", "1"))
    play(tree, "-n", "0", "tests/test_a.py")
    _, later, _ = told(tree, capsys)

    assert [line.split(" SQLite")[0] for line in at_first] == ["S1 passed", "S2 in part"]
    assert [line.split()[1] for line in later] == ["FAILED", "FAILED"]
    assert at_first[0].split(" faults ")[1] == later[0].split(" faults ")[1] != "-"
