"""Holds docs/security.md against the tests that prove it: `make security-rows`.

Every row of its tables names test files; a test in them says by `@pytest.mark.row("S1")` that it
proves the row. A line is printed for each, with what its tests came to when they were last played
here (tests/row_results.py writes it down). Nothing is played now.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = "docs/security.md"
KINDS = ("SQLite", "PostgreSQL", "faults")
# By kind of run: of each test how it ended, and on which day.
Records = Mapping[str, Mapping[str, tuple[str, str]]]

_ROW = re.compile(r"\| ([A-Z]{1,2}\d+) \| (.+) \| ([^|]*) \|")
_TEST = re.compile(r"`(tests/[\w/]+\.py)`")


@dataclass(frozen=True)
class Row:
    id: str
    holds: str
    files: tuple[str, ...]


def rows(root: Path = ROOT) -> list[Row]:
    lines = (root / DOCUMENT).read_text(encoding="utf-8").splitlines()
    found = (_ROW.fullmatch(line) for line in lines)
    return [Row(each[1], each[2], tuple(_TEST.findall(each[3]))) for each in found if each]


# --- what the tests say --------------------------------------------------------------------


def proofs(root: Path = ROOT) -> dict[str, set[str]]:
    """Of each row the tests that name it, as `tests/a.py::test_b`."""
    found: dict[str, set[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if "mark.row(" in source:
            name = path.relative_to(root).as_posix()
            for row, test in _marked(ast.parse(source)):
                found.setdefault(row, set()).add(f"{name}::{test}")
    return found


def _marked(module: ast.Module) -> Iterator[tuple[str, str]]:
    yield from _within(
        module, [row for each in module.body if _is_mark(each) for row in _ids([each])]
    )


def _within(scope: ast.Module | ast.ClassDef, inherited: list[str]) -> Iterator[tuple[str, str]]:
    for node in scope.body:
        if isinstance(node, ast.ClassDef):
            yield from _within(node, [*inherited, *_ids(node.decorator_list)])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            for row in (*inherited, *_ids(node.decorator_list)):
                yield row, node.name


def _is_mark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"


def _ids(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for each in (within for node in nodes for within in ast.walk(node)):
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.row":
            yield from (ast.literal_eval(argument) for argument in each.args)


# --- what they came to ---------------------------------------------------------------------


def records(root: Path = ROOT) -> Records:
    found = {}
    for kind in KINDS:
        path = root / ".pytest_cache" / "v" / "rows" / kind
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found[kind] = {name: (outcome, day) for name, (outcome, day) in known.items()}
    return found


PLAYED = {"passed", "failed"}


@dataclass(frozen=True)
class Result:
    """What a row's tests came to, by kind of run, and in a word for all."""

    word: str
    told: dict[str, str]


def result(row: Row, tests: set[str], known: Records) -> Result:
    slow = {test for test in tests if test.startswith("tests/faults/")}
    due = {"SQLite": tests - slow, "PostgreSQL": tests - slow, "faults": slow}
    told = {kind: _told(due[kind], known[kind]) for kind in KINDS}
    played = {test for kind in KINDS for test in tests & known[kind].keys()}
    never = {test for test in tests if not any(_is_played(test, known[kind]) for kind in KINDS)}
    if not row.files:
        word = "NO TEST"
    elif any(each.startswith("FAILED") for each in told.values()):
        word = "FAILED"
    elif not played:
        word = "not run yet"
    else:
        word = "in part" if never else "passed"
    return Result(word, told)


def _is_played(test: str, record: Mapping[str, tuple[str, str]]) -> bool:
    return record.get(test, ("missing", ""))[0] in PLAYED


def _told(tests: set[str], record: Mapping[str, tuple[str, str]]) -> str:
    """The oldest day counts; what was skipped does not."""
    if not tests:
        return "-"
    ended = [record.get(test, ("missing", "")) for test in tests]
    days = sorted(day for outcome, day in ended if outcome in PLAYED)
    if not days:
        return "not run"
    failed = [day for outcome, day in ended if outcome == "failed"]
    if failed:
        return f"FAILED {max(failed)}"
    outcomes = [outcome for outcome, _day in ended]
    due = len(tests) - outcomes.count("skipped")
    return days[0] if len(days) == due else f"{days[0]} ({len(days)} of {due})"


def lines(listed: list[Row], ended: list[Result]) -> Iterator[str]:
    """One for each row, beginning with its id, in columns."""
    width = {kind: max((len(each.told[kind]) for each in ended), default=0) for kind in KINDS}
    for row, each in zip(listed, ended, strict=True):
        told = "  ".join(f"{kind} {each.told[kind]:<{width[kind]}}" for kind in KINDS)
        yield f"{row.id:<4} {each.word:<12} {told}  {', '.join(row.files)}".rstrip()


# --- whether the two agree -----------------------------------------------------------------


def faults(root: Path = ROOT) -> Iterator[str]:
    """Where document and tests contradict each other, a line each."""
    listed, proven = rows(root), proofs(root)
    known = [row.id for row in listed]
    for row in listed:
        if known.count(row.id) > 1:
            yield f"{row.id}: more than one row has this id"
        yield from _faults(row, {test.partition("::")[0] for test in proven.get(row.id, ())})
    for unknown in sorted(proven.keys() - set(known)):
        for test in sorted(proven[unknown]):
            yield f"{unknown}: {test} names this row, {DOCUMENT} has none"


def _faults(row: Row, marked: set[str]) -> Iterator[str]:
    if not row.files:
        yield f"{row.id}: no test"
    for name in row.files:
        if name not in marked:
            yield f"{row.id}: no test of {name} is marked with it"
    for name in sorted(marked - set(row.files)):
        yield f"{row.id}: {name} has a test that is marked with it, {DOCUMENT} does not name it"


def main(root: Path = ROOT) -> int:
    listed, proven, known = rows(root), proofs(root), records(root)
    ended = [result(row, proven.get(row.id, set()), known) for row in listed]
    for line in lines(listed, ended):
        sys.stdout.write(f"{line}\n")
    wrong = list(faults(root))
    for fault in wrong:
        sys.stderr.write(f"{fault}\n")
    failed = [each.word for each in ended].count("FAILED")
    if failed:
        sys.stderr.write(f"rows whose tests failed when they were last played: {failed}\n")
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
