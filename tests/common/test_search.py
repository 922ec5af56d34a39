"""How text is cut into words, and what a query asks for."""

from __future__ import annotations

import pytest

from common.search import Query, pieces_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("退款流程", ["退", "款", "流", "程"]),
        ("GPT模型v2很好", ["gpt", "模", "型", "v2", "很", "好"]),
        ("Zürich ÉCOLE naïve", ["zurich", "ecole", "naive"]),
        ("Zu\u0308rich", ["zurich"]),
        ("İstanbul", ["istanbul"]),
        ("Straße", ["strasse"]),
        ("\uff21\uff22\uff11", ["ab1"]),
        ("ひらがなカタカナ", list("ひらがなカタカナ")),
        ("max_tokens e-mail a.b", ["max", "tokens", "e", "mail", "a", "b"]),
        ("𠀀𪚥", ["𠀀", "𪚥"]),
        ("%_!? …", []),
        ("", []),
        ("x" * 200, ["x" * 64]),
    ],
)
def test_text_is_cut_into_words(text, words):
    assert words_of(text) == words


def test_most_texts_are_one_piece():
    assert list(pieces_of("a b c")) == [["a", "b", "c"]]
    assert list(pieces_of("!")) == []


@pytest.mark.parametrize("text", ["的" * 5_000, " ".join(f"w{n}" for n in range(10_000))])
def test_no_phrase_is_cut_in_two_and_no_word_comes_too_often(text):
    """PostgreSQL keeps 256 places of a word."""
    words = words_of(text)
    pieces = list(pieces_of(text))

    assert max(piece.count(piece[0]) for piece in pieces) < 256
    assert max(len(piece) for piece in pieces) <= 3_000
    joined = {tuple(piece[n : n + 50]) for piece in pieces for n in range(len(piece) - 49)}
    assert {tuple(words[n : n + 50]) for n in range(len(words) - 49)} == joined


@pytest.mark.parametrize("between", [" ", "\n", "字", "\u3002字"])
def test_a_long_text_is_read_in_stretches_that_cut_no_word(between):
    text = between.join(f"word{n}" for n in range(10_000))

    found = [word for word in words_of(text) if word != "字"]

    assert found == [f"word{n}" for n in range(10_000)]


def said(text: str) -> str:
    return Query.of(text, owner_id="o").for_sqlite().removeprefix('"§o" AND ')


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("refund", '"refund" *'),
        ("退款", '"退 款"'),
        ("款", '"款"'),
        ("a", '"a"'),
        ("refund 退款", '"refund" * AND "退 款"'),
        ('"the refund" is', '"the refund" AND "is" *'),
        ('"unclosed', '"unclosed" *'),
        ("e-mail", '"e mail" *'),
        ('AND NEAR( x* ^y "', '"and" * AND "near" * AND "x" AND "y"'),
        ("§o", '"o"'),
    ],
)
def test_a_query_asks_for_phrases(text, asked):
    assert said(text) == asked


def test_a_query_without_words_is_empty():
    assert not Query.of('%_" "" \' (', owner_id="o")


def test_a_query_holds_five_beginnings_of_words():
    assert said("ab " * 20).count("*") == 5


def test_a_query_is_cut_at_fifty_words():
    assert said("退" * 200).count("退") == 50
    assert said("w " * 100).count("w") == 50
