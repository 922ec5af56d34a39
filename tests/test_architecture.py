"""What docs/architecture.md names is there: files, and what is defined in them."""

from __future__ import annotations

import re

from tests.server import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILE = r"`([a-z_]+/[a-z_/]+\.py)`"
# A name is followed by its file, in brackets or behind a comma.
IN_FILE = rf"`(\w+)`(?: \(|,\s){FILE}"


def test_every_file_is_there():
    named = set(re.findall(FILE, PAGE))

    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_name_is_defined_where_the_page_says():
    named = set(re.findall(IN_FILE, re.sub(r"\s*\n\s+", " ", PAGE)))

    assert len(named) > 20
    for name, path in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"(?m)^\s*(?:async )?(?:def|class) {name}\b", source), (name, path)


def test_every_picture_is_there():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE)

    assert pictures == ["parley.svg", "turn.svg"]
    assert all((ROOT / "docs" / each).is_file() for each in pictures)
