"""K1: what a key looks like, to its owner and to scanners for leaked secrets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accounts.services import key_format

pytestmark = pytest.mark.row("K1")


def test_a_key_is_32_random_bytes_and_a_checksum():
    keys = {key_format.new_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(re.fullmatch(r"parley-[0-9A-Za-z]{49}", key) for key in keys)
    assert all(key_format.is_well_formed(key) for key in keys)


def test_small_numbers_are_written_as_long_as_large_ones(monkeypatch):
    for number in (0, 1, 2**256 - 1):
        monkeypatch.setattr(
            "accounts.services.key_format.secrets.token_bytes", lambda _n, n=number: n.to_bytes(32)
        )

        assert len(key_format.new_key()) == len("parley-") + 43 + 6


def test_the_checksum_is_the_documented_one():
    """Scanners compute it by themselves: a change here makes them blind."""
    zeros = "0" * 43

    assert key_format.is_well_formed(f"parley-{zeros}2CZclj")


@pytest.mark.parametrize("place", [0, 7, 20, 49, 50, 55])
def test_one_misspelt_character_is_seen(place):
    key = key_format.new_key()
    other = "x" if key[place] != "x" else "y"

    assert not key_format.is_well_formed(key[:place] + other + key[place + 1 :])


@pytest.mark.parametrize(
    "text", ["", "parley-", "parley-abc", "parley-" + "0" * 49, "parley-" + "é" * 49]
)
def test_what_is_no_key_is_not_well_formed(text):
    assert not key_format.is_well_formed(text)
    assert not key_format.is_well_formed(key_format.new_key() + text + "0")


def test_the_guide_tells_the_expression():
    guide = Path(__file__).parents[2] / "docs" / "api.md"

    assert f"`{key_format.PATTERN}`" in guide.read_text(encoding="utf-8")


def test_scanners_find_a_key_in_a_text():
    key = key_format.new_key()

    assert re.findall(key_format.PATTERN, f'API_KEY="{key}" # parley-is-not-one') == [key]
