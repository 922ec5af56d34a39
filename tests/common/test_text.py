"""Text that every database and every wire can hold."""

from __future__ import annotations

import pytest

from common.errors import Invalid
from common.text import (
    bounded,
    check_json,
    check_text,
    clean,
    excerpt,
    heading,
    is_line,
    printable,
    without_secrets,
)

SECRETS = [
    "parley-" + "Canary" * 8,
    "sk-proj-" + "Canary_" * 4,
    f"eyJ{'Canary' * 3}.eyJCanary2.x-_",
]


@pytest.mark.row("I4")
@pytest.mark.parametrize("text", ["\x00", "a\ud800b", "\udfff"])
def test_nul_and_half_pairs_are_refused(text):
    """I4: NUL and lone surrogates are `invalid`."""
    with pytest.raises(Invalid):
        check_text(text)


@pytest.mark.row("I4")
@pytest.mark.parametrize(
    "value", [{"\ud800": 1}, {"a": [{"b": "\x00"}]}, ["\x00"], {"a": {"\x00": 1}}]
)
def test_they_are_found_in_keys_and_depths(value):
    """I4: in keys and nested JSON too."""
    with pytest.raises(Invalid):
        check_json(value)


def test_sound_text_comes_back_as_it_is():
    text = "Zürich, 你好, 😀\n\t"

    assert check_text(text) == text
    assert clean(text) == text


@pytest.mark.row("I5")
def test_cleaning_replaces_what_is_unsound_and_joins_whole_pairs():
    """I5: by replacement, and a pair written as two halves is one character."""
    assert clean("a\x00b\ud800c") == "a\ufffdb\ufffdc"
    assert clean("\ud83d\ude00") == "😀"


@pytest.mark.parametrize("secret", SECRETS)
def test_what_is_repeated_of_the_input_holds_no_key_and_no_token(secret):
    """K4: of a key only its kind is left."""
    for repeat in (without_secrets, bounded, excerpt):
        told = repeat(f'There is no "{secret}", or {secret}.')

        assert "Canary" not in told
        assert told.startswith(f'There is no "{secret[:3]}')


def test_a_word_that_is_short_is_no_key():
    sentence = "parley-limit and sk-learn, eyJ.a.b, task-parley_1234567890123456"

    assert without_secrets(sentence) == sentence


def test_an_excerpt_has_at_most_a_hundred_characters():
    assert excerpt("a" * 101) == "a" * 99 + "…"
    assert excerpt("a" * 100) == "a" * 100


@pytest.mark.parametrize(
    "text", ["Ana", "你好", "نیم\u200cروز", "PDF\u200cرو", "क्\u200dष", "👩🏽\u200d💻", "a b"]
)
def test_a_line_may_be_joined_where_something_is_seen_on_both_sides(text):
    assert is_line(text)
    assert printable(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a\nb", "a\tb", "a\u2028b", "a\x1bb", "a\u00a0b"),
        *("\u200c", "\u200da", "a\u200c", "a\u200c\u200cb", "a\u200c b", "\u200b", "a\u2060b"),
        *("ad\u200cmin", "ad\u200dmin", "gpt\u200d-4", "1\u200c2", "пр\u200cив", "你\u200d好"),
        *("\u3164", "\u2800", "\ufe0f", "a\u202eb", "\u2066a\u2069", "a\u200fb", "a\u061cb"),
    ],
)
def test_what_is_not_seen_or_turns_the_rest_is_no_line(text):
    assert not is_line(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A plan", "A plan"),
        ("", ""),
        ("  two\n lines\u2028and\u3000more ", "two lines and more"),
        # Nothing turns what stands behind it.
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("\u2066a\u2069\u200eb\u200fc\u061c", "abc"),
        # Nor hides in it.
        ("a\u00ad\u200b\u2060\ufeffb\U000e0041\U000e0042", "ab"),
        ("\x1b]0;x\x07", "]0;x"),
        ("a \u202e b", "a b"),
        # What is seen by nobody is no title.
        ("\u202e\u2069", ""),
        ("\u3164\u115f\u2800", ""),
        ("\u200d \u200d", ""),
        # What people write stays as it is.
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        ),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("\u0600\u0661", "\u0600\u0661"),
        ("修理自行车轮胎", "修理自行车轮胎"),
        ("a\x00b", "a\ufffdb"),
    ],
)
def test_a_heading_is_one_line_of_what_is_seen(text, line):
    assert heading(text) == line


@pytest.mark.row("R4")
@pytest.mark.parametrize("piece", ["\u202e", "a\u202e ", "\u200d", " ", "a"])
def test_making_a_heading_is_linear(piece):
    """R4: what takes longer with its square would not end here."""
    heading(piece * 500_000)
