"""G1: what the tests keep secret stands in no log, of this process and of any server they start.

The secrets are those that all tests use: passwords, keys, letters to people, what they say to the
models. Whatever ends up in a log fails the test that was running.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any

import pytest

# What every person and every message of the tests is given.
_WORDS = (
    "correct horse",
    "longer horse battery",
    "a canary of a text",
    "secret prompt",
    "secret answer",
)
_SHAPES = (
    r"\bparley-[0-9A-Za-z]{30,}",
    r"\b(?:sk|pk)-[0-9A-Za-z-]*canary[0-9A-Za-z-]*",
    r"\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}\.",
    r"\bbearer[. ][0-9A-Za-z]{12,}",
    r"\bargon2(?:id)?\$",
    r"\b(?:sessionid|csrftoken)=\w+",
    r"\b(?!postgres@)[\w.+-]+@(?:example\.(?:org|com)|x\.ex)",
)
_SECRET = re.compile("|".join([*map(re.escape, _WORDS), *_SHAPES]), re.IGNORECASE)
# These write secrets into logs on purpose, to see that the last step of logging takes them out.
_WRITES_THEM = "tests/common/test_logging.py"


def found_in(log: str) -> list[str]:
    """The lines that hold a secret, each cut short around it."""
    hits = []
    for line in log.splitlines():
        if found := _SECRET.search(line):
            hits.append(line[max(0, found.start() - 200) : found.end() + 40])
    return hits


def refuse(log: str) -> None:
    """Fail when the log of a server of the tests holds a secret."""
    if hits := found_in(log):
        raise AssertionError("a secret stands in the log of a server:\n" + "\n".join(hits[:5]))


def _logged(sections: Iterable[tuple[str, str]], *, but: str) -> str:
    return "\n".join(
        text for name, text in sections if ("log" in name or "stderr" in name) and but not in name
    )


def pytest_runtest_setup() -> None:
    """A command that a test ran with its output captured set logging up for that test alone: the
    lines of all later ones would be lost."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler and handler.stream is not sys.stderr:
            handler.stream = sys.stderr  # not setStream: it would flush one that is closed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """After each test: what it logged, formatted and not, and what else went to stderr."""
    report: pytest.TestReport = yield
    if report.when != "teardown":
        return report
    but = " log " if item.nodeid.startswith(_WRITES_THEM) else "nothing"
    hits = found_in(_logged(report.sections, but=but))
    if hits and report.passed:
        report.outcome = "failed"
        report.longrepr = "a secret stands in the log:\n" + "\n".join(hits[:5])
    return report
