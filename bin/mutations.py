"""Takes one defence after another away and sees that a test turns red: `make mutations`.

`tests/mutations/ROW.patch` says in its head which row of docs/security.md it is about, which
tests must turn red without the defence, and what they need. All of it happens in copies of the
tree; first the tests are seen green there, so that a red one means what it says.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "mutations"
SERVICES = "PostgreSQL and Redis"
NEEDS = ("nothing", SERVICES)
AT_ONCE = 2
SECONDS = 600
GRACE_SECONDS = 30

_HEAD = re.compile(r"(Row|Red|Needs|Defence): (.+)")
_FILE = re.compile(r"(?m)^\+\+\+ b/(\S+)")


@dataclass(frozen=True)
class Mutation:
    """A defence that can be taken away, and the tests that would tell."""

    row: str
    tests: tuple[str, ...]
    needs: str
    defence: str
    files: tuple[str, ...]
    patch: str

    @classmethod
    def read(cls, path: Path) -> Mutation:
        text = path.read_text(encoding="utf-8")
        head, _, diff = text.partition("\n--- ")
        said: dict[str, list[str]] = {"Row": [], "Red": [], "Needs": [], "Defence": []}
        for line in head.splitlines():
            if match := _HEAD.fullmatch(line):
                said[match[1]].append(match[2])
        once = [name for name, lines in said.items() if len(lines) != 1 and name != "Red"]
        if once or not said["Red"]:
            raise ValueError(f"{path.name}: wants Row, Needs and Defence once, and Red")
        if said["Row"] != [path.stem] or said["Needs"][0] not in NEEDS:
            raise ValueError(f"{path.name}: Row is the file's name, Needs one of {NEEDS}")
        return cls(
            row=path.stem,
            tests=tuple(said["Red"]),
            needs=said["Needs"][0],
            defence=said["Defence"][0],
            files=tuple(_FILE.findall(f"--- {diff}")),
            patch=text,
        )

    def applies(self, tree: Path) -> str:
        """Why it does not; empty when it does."""
        return _git_apply(tree, self.patch, "--check")


@dataclass
class Played:
    """What one run of pytest said: the tests that failed as tests, those that could not run."""

    code: int | None
    red: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    said: str = ""


@dataclass(frozen=True)
class Place:
    """A copy of the tree to change things in, with a database and a Redis number of its own."""

    tree: Path
    environ: dict[str, dict[str, str]]

    def play(self, tests: Sequence[str], needs: str, *, seconds: float) -> Played:
        report = self.tree.parent / f"{self.tree.name}.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        process = subprocess.Popen(
            [*command, f"--junitxml={report}", "-o", "junit_family=xunit1", *tests],
            cwd=self.tree,
            env=self.environ[needs],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return Played(None, said=f"took longer than {seconds:.0f} s")
        played = Played(process.returncode, said=said)
        if report.exists():
            _read_report(report, played)
        return played

    def imports(self, files: Sequence[str]) -> str:
        """What keeps the changed tree from starting at all; empty when nothing does."""
        if not any(name.endswith(".py") for name in files):
            return ""
        checked = subprocess.run(
            [sys.executable, "manage.py", "check", "--fail-level", "CRITICAL"],
            cwd=self.tree,
            env=self.environ["nothing"] | {"DJANGO_SETTINGS_MODULE": "config.settings_test"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return checked.stderr.strip().rpartition("\n")[2] if checked.returncode else ""


@dataclass(frozen=True)
class Verdict:
    row: str
    is_red: bool
    line: str


def judge(mutation: Mutation, place: Place, *, seconds: float = SECONDS) -> Verdict:
    """Take the defence away, play its tests, put it back."""
    if refused := _git_apply(place.tree, mutation.patch):
        return Verdict(mutation.row, False, f"no longer applies: {refused}")
    began = time.monotonic()
    try:
        if broken := place.imports(mutation.files):
            return Verdict(mutation.row, False, f"proves nothing, the tree is broken: {broken}")
        played = place.play(mutation.tests, mutation.needs, seconds=seconds)
    finally:
        _git_apply(place.tree, mutation.patch, "--reverse")
    tests = ", ".join(mutation.tests)
    if fault := _why_not_red(mutation, played):
        return Verdict(mutation.row, False, fault)
    return Verdict(mutation.row, True, f"red: {tests} ({time.monotonic() - began:.1f} s)")


def _why_not_red(mutation: Mutation, played: Played) -> str:
    if played.code is None:
        return f"proves nothing: {played.said}"
    if played.broken or played.code not in {0, 1}:
        last = played.said.strip().rpartition("\n")[2]
        return f"proves nothing: {', '.join(sorted(played.broken)) or last}"
    green = [test for test in mutation.tests if not _is_among(test, played.red)]
    if not green:
        return ""
    unplayed = [test for test in green if _is_among(test, played.skipped)]
    return (
        f"proves nothing, skipped: {unplayed[0]}" if unplayed else f"SURVIVED: {', '.join(green)}"
    )


def _is_among(test: str, played: set[str]) -> bool:
    """Is it one of these, or one of its parameters?"""
    return any(each == test or each.startswith(f"{test}[") for each in played)


def red_before(mutations: Sequence[Mutation], place: Place) -> dict[str, str]:
    """Play all tests with every defence in place: of the rows whose tests fail then, why."""
    faults = {}
    for needs in NEEDS:
        wanting = [each for each in mutations if each.needs == needs]
        if not wanting:
            continue
        tests = sorted({test for each in wanting for test in each.tests})
        played = place.play(tests, needs, seconds=SECONDS * 2)
        failed = played.red | played.broken
        for each in wanting:
            red = [test for test in each.tests if _is_among(test, failed)]
            if red:
                faults[each.row] = f"proves nothing, red before: {', '.join(red)}"
            elif played.code not in {0, 1}:
                last = played.said.strip().rpartition("\n")[2]
                faults[each.row] = f"proves nothing, not played before: {last}"
    return faults


def _read_report(report: Path, played: Played) -> None:
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 pytest's own
        classes = case.get("classname", "").replace(".", "/")
        path = case.get("file") or f"{classes}.py"
        inside = classes.removeprefix(path.removesuffix(".py")).strip("/").split("/")
        name = "::".join([path, *filter(None, inside), case.get("name", "")])
        for kind, found in (
            ("failure", played.red),
            ("error", played.broken),
            ("skipped", played.skipped),
        ):
            if case.find(kind) is not None:
                found.add(name)


def _git_apply(tree: Path, patch: str, *options: str) -> str:
    applied = subprocess.run(
        ["git", "apply", *options, "-"],
        cwd=tree,
        input=patch,
        capture_output=True,
        text=True,
        check=False,
    )
    return applied.stderr.strip().replace("\n", "; ") if applied.returncode else ""


def _end(process: subprocess.Popen[str]) -> None:
    """As Ctrl-C would, so that it ends the servers it started; then for good."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.communicate(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def copy_tree(to: Path) -> None:
    """What git knows or would take, in a repository of its own."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, names.split("\0")):
        source, copy = ROOT / name, to / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=to, check=True)


@contextmanager
def places(count: int, *, postgres: str, redis: str) -> Iterator[list[Place]]:
    with tempfile.TemporaryDirectory(prefix="parley-mutations-") as folder:
        made = []
        for number in range(count):
            tree = Path(folder) / f"tree{number}"
            tree.mkdir()
            copy_tree(tree)
            made.append(Place(tree, _environments(number, postgres=postgres, redis=redis)))
        yield made


def _environments(number: int, *, postgres: str, redis: str) -> dict[str, dict[str, str]]:
    own = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "PYTEST_ADDOPTS"}
    alone = {name: value for name, value in os.environ.items() if name not in own}
    server, _, first = redis.rpartition("/")
    services = {
        "DATABASE_URL": f"{postgres.rpartition('/')[0]}/mutations_{os.getpid()}_{number}",
        "REDIS_URL": f"{server}/{int(first) + number}",
    }
    return {"nothing": alone, SERVICES: alone | services}


def judge_all(
    mutations: Sequence[Mutation], at: Sequence[Place], say: Callable[[str], object]
) -> list[Verdict]:
    free: SimpleQueue[Place] = SimpleQueue()
    for place in at:
        free.put(place)

    def in_turn(mutation: Mutation) -> Verdict:
        place = free.get()
        try:
            return judge(mutation, place)
        finally:
            free.put(place)

    verdicts = []
    with ThreadPoolExecutor(len(at)) as pool:
        for done in as_completed([pool.submit(in_turn, each) for each in mutations]):
            verdicts.append(done.result())
            say(f"{verdicts[-1].row:<4} {verdicts[-1].line}\n")
    return verdicts


def all_mutations() -> list[Mutation]:
    def order(path: Path) -> tuple[str, int]:
        return path.stem[0], int(path.stem[1:])

    return [Mutation.read(path) for path in sorted(FOLDER.glob("*.patch"), key=order)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutations", description=__doc__)
    parser.add_argument("rows", nargs="*", help="only these rows; all when none is named")
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--redis", required=True)
    asked = parser.parse_args()
    mutations = [each for each in all_mutations() if not asked.rows or each.row in asked.rows]
    if missing := set(asked.rows) - {each.row for each in mutations}:
        parser.error(f"no patch for {', '.join(sorted(missing))}")
    say = sys.stdout.write
    count = min(AT_ONCE, len(mutations))
    with places(count, postgres=asked.postgres, redis=asked.redis) as at:
        unsound = red_before(mutations, at[0])
        for row, fault in unsound.items():
            say(f"{row:<4} {fault}\n")
        verdicts = judge_all([each for each in mutations if each.row not in unsound], at, say)
    red = sum(each.is_red for each in verdicts)
    say(f"{red} of {len(mutations)} defences are missed when they are gone\n")
    return 0 if red == len(mutations) else 1


if __name__ == "__main__":
    sys.exit(main())
