"""Remembers for `make security-rows` how the tests of each row of docs/security.md ended.

A test says by `@pytest.mark.row("S1")` which rows it proves. What it came to stands in pytest's own
cache, by the kind of run it was played in: a run of one file forgets nothing of the others.
"""

from __future__ import annotations

import datetime

import pytest
from django.db import connection

PROPERTY = "row"
WORSE = ("skipped", "passed", "failed")


def kind_of(nodeid: str) -> str:
    """The column it counts in; the faults bring databases of their own."""
    if nodeid.startswith("tests/faults/"):
        return "faults"
    return {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.vendor]


def function_of(nodeid: str) -> str:
    """`tests/a.py::test_b`, for all of its cases."""
    path, *_classes, name = nodeid.partition("[")[0].split("::")
    return f"{path}::{name}"


class RowResults:
    """A plugin. With xdist it is in every worker too: there it marks, here it writes."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.ended: dict[str, dict[str, str]] = {}

    @pytest.hookimpl
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        # Properties travel with the report, from a worker too.
        if any(True for _mark in item.iter_markers("row")):
            item.user_properties.append((PROPERTY, True))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if (PROPERTY, True) not in report.user_properties:
            return
        if report.outcome == "passed" and report.when != "call":
            return
        found = self.ended.setdefault(kind_of(report.nodeid), {})
        name = function_of(report.nodeid)
        found[name] = max(report.outcome, found.get(name, "skipped"), key=WORSE.index)

    def pytest_sessionfinish(self) -> None:
        cache = getattr(self.config, "cache", None)
        if cache is None or hasattr(self.config, "workerinput"):
            return
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        for kind, ended in self.ended.items():
            known = cache.get(f"rows/{kind}", {})
            new = {name: [outcome, today] for name, outcome in ended.items()}
            cache.set(f"rows/{kind}", known | new)
