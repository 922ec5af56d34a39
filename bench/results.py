"""The file that measurements are kept in: each part of a run with its date, command and machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.processes import ROOT

FILE = ROOT / "bench" / "results.json"

Row = dict[str, Any]

# Before anything of ours adds to it.
_LOAD_AT_START = round(os.getloadavg()[0], 1)
# Addresses of databases hold passwords.
_UNTOLD = ("--postgres", "--redis")


def load(path: Path = FILE) -> dict[str, Any]:
    """Every part that was ever measured, the newest of each."""
    if not path.exists():
        return {}
    parts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return parts


def keep(part: str, rows: list[Row], *, path: Path = FILE, **more: Any) -> None:
    """Put a part in place of the one that was there; the others stay."""
    parts = load(path) | {part: circumstances() | more | {"rows": rows}}
    text = json.dumps(dict(sorted(parts.items())), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def circumstances() -> Row:
    """When and on what it was measured; `load` above 1 says that the machine did other things."""
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "commit": _first_line("git", "rev-parse", "--short", "HEAD"),
        "command": command(sys.argv[1:]),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "load": _LOAD_AT_START,
        "niceness": os.nice(0),
    }


def command(argv: Sequence[str]) -> str:
    """How to measure the same again; where databases are is left out."""
    told = []
    words = iter(argv)
    for word in words:
        if word in _UNTOLD:
            next(words, None)
        elif not word.startswith(tuple(f"{name}=" for name in _UNTOLD)):
            told.append(word)
    return " ".join(["python -m bench.run", *told])


def median(rounds: Iterable[Row], name: str) -> float | None:
    """The middle one of what the rounds have under `name`; None where none has it."""
    found = [each[name] for each in rounds if each.get(name) is not None]
    return statistics.median(found) if found else None


def one(rows: Iterable[Row], **wanted: Any) -> Row | None:
    """The row in which these stand."""

    return next(
        (row for row in rows if all(row.get(name) == value for name, value in wanted.items())), None
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _first_line(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
