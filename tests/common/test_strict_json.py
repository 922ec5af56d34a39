"""I3, I4: JSON that can be walked and stored, or `invalid`."""

from __future__ import annotations

import time

import pytest
from django.test import override_settings

from common.errors import Invalid
from common.jsonbody import parse_json


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_plain_json_is_read():
    assert parse_json('{"a": [1, -2.5, true, null, "Zürich 😀"]}'.encode()) == {
        "a": [1, -2.5, True, None, "Zürich 😀"]
    }


def test_of_doubled_keys_the_last_counts():
    """T1: duplicate JSON keys: the last counts."""
    assert parse_json(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.row("I3", "I4")
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(nested(33), id="depth 33"),
        pytest.param(nested(100_000), id="depth 100000"),
        pytest.param(b'{"a":' * 5_000 + b"1" + b"}" * 5_000, id="deep objects"),
        pytest.param(b"1e999", id="1e999"),
        pytest.param(b"-1e999", id="-1e999"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"-Infinity", id="-Infinity"),
        pytest.param(b"1" * 5_000, id="5000 digits"),
        pytest.param(b"9223372036854775808", id="over 64 bit"),
        pytest.param(b'"\\u0000"', id="NUL"),
        pytest.param(b'{"\\ud800": 1}', id="lone surrogate in a key"),
        pytest.param(b'"\xff"', id="no UTF-8"),
        pytest.param(b"\xed\xa0\x80", id="encoded surrogate"),
        pytest.param("{}".encode("utf-16"), id="utf-16"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"'a'", id="no JSON"),
        pytest.param(b"\x00", id="a raw NUL"),
    ],
)
def test_anything_else_is_invalid(raw):
    with pytest.raises(Invalid):
        parse_json(raw)


@pytest.mark.row("I3")
def test_ten_thousand_keys_are_the_limit():
    def keys(count: int) -> bytes:
        return b"{" + b",".join(b'"%d":0' % number for number in range(count)) + b"}"

    assert len(parse_json(keys(10_000))) == 10_000
    with pytest.raises(Invalid):
        parse_json(keys(10_001))
    with override_settings(JSON_KEYS=2), pytest.raises(Invalid):
        parse_json(b'[{"a":1,"b":2},{"c":3}]')


def test_brackets_inside_text_do_not_count():
    assert parse_json(b'"' + b"[" * 500 + b'\\""') == "[" * 500 + '"'
    assert parse_json(nested(32)) is not None


@pytest.mark.row("R4")
@pytest.mark.parametrize("unit", [b'"\\', b'"', b"\\", b'"a" ', b"["])
def test_a_long_body_is_refused_in_linear_time(unit):
    """R4: no work grows faster than its input."""
    raw = unit * (1_000_000 // len(unit))
    began = time.process_time()

    with pytest.raises(Invalid):
        parse_json(raw)

    assert time.process_time() - began < 5  # quadratic work would take minutes
