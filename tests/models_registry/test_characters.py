"""I5: half characters find their other half."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry.providers.characters import Joiner, loads


def join(*pieces):
    joiner = Joiner()
    return "".join(joiner.feed(piece) for piece in pieces) + joiner.close()


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["plain", " text"], "plain text"),
        (["Zürich ", "你好 🎲"], "Zürich 你好 🎲"),
        (["a\ud83c", "\udfb2b"], "a🎲b"),
        (["a\ud83c\udfb2b"], "a🎲b"),
        (["\ud83d", "\udc80"], "💀"),  # whose second half also looks like a raw byte
        (["a\ud83c", "b"], "a\ufffdb"),
        (["a\udfb2b"], "a\ufffdb"),
        (["a\ud83c"], "a\ufffd"),
        (["a\0b"], "a\ufffdb"),
        (["a\udcf0\udc9f", "\udc8e\udcb2b"], "a🎲b"),
        (["a\udcc3", "\udca9b"], "aéb"),
        (["a\udcc3\udca9"], "aé"),
        (["\udce6\udcb1\udc89"], "汉"),
        (["\udce6", "\udcb1", "\udc89"], "汉"),
        (["x\udcff"], "x\ufffd"),
        (["a\udce6\udcb1"], "a\ufffd"),
        (["", ""], ""),
    ],
)
def test_pieces(pieces, text):
    assert join(*pieces) == text


@given(text=st.text(max_size=30), cuts=st.sets(st.integers(0, 120), max_size=6))
def test_utf_8_cut_anywhere_comes_whole(text, cuts):
    raw = text.replace("\0", "").encode()
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    pieces = [raw[start:end].decode("utf-8", "surrogateescape") for start, end in pairwise(edges)]

    assert join(*pieces) == raw.decode()


@given(st.text(st.characters(blacklist_categories=[]), max_size=30))
def test_whatever_comes_out_can_be_stored(text):
    joined = join(*text)

    assert "\0" not in joined
    joined.encode()


class TestJSON:
    @pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "é"]}, [], "x", 7])
    def test_is_read(self, value):
        assert loads(json.dumps(value).encode()) == value

    def test_half_characters_are_kept_for_the_joiner(self):
        assert loads(rb'"a\ud83c"') == "a\ud83c"
        assert loads(b'"a\xf0\x9f"') == "a\udcf0\udc9f"

    @pytest.mark.parametrize("wrong", [b"", b"{", b"oops", b"[" * 100_000, b"1" * 5_000 + b"x"])
    def test_what_is_no_json_is_refused(self, wrong):
        with pytest.raises(ValueError):  # noqa: PT011 any of json's own
            loads(wrong)
