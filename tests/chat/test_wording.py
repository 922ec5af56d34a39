"""What of a model's words becomes a title."""

from __future__ import annotations

import pytest

from chat.services.wording import cleaned_title, first_words


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Repairing a tyre", "Repairing a tyre"),
        ('"Repairing a tyre."', "Repairing a tyre"),
        ("# **Repairing** `a` [tyre](https://x.example)", "Repairing a tyre"),
        ("Title: Repairing a tyre", "Repairing a tyre"),
        ("标题:《修理自行车轮胎》", "修理自行车轮胎"),
        ("标题\uff1a修理自行车轮胎", "修理自行车轮胎"),
        ("「修理自行车轮胎」。", "修理自行车轮胎"),
        ("\n\n- Repairing\ta  tyre\nSecond line", "Repairing a tyre"),
        ("A \x1b[31mred\u202e one", "A [31mred one"),
        ("word " * 40, "word " * 14 + "word…"),
        ("字" * 100, "字" * 79 + "…"),
        ("C#", "C#"),
        ("***", ""),
        ("\u202e\u2066", ""),
        ("\u3164\u200d", ""),
        ("«\u200d»", ""),
        ("\u202e\nNot evil\u2069", "Not evil"),
        ("", ""),
    ],
)
def test_a_title_is_cleaned(text, title):
    assert cleaned_title(text) == title
    assert len(title) <= 80


@pytest.mark.row("R4")
@pytest.mark.parametrize("piece", ["[", "[a](", "*", "《", "\n", "a "])
def test_cleaning_is_linear(piece):
    """R4: what takes longer with its square would not end here."""
    assert len(cleaned_title(piece * 1_000_000)) <= 80


def test_the_first_words_are_one_line():
    assert first_words("How do I\n\n  repair\ta tyre?") == "How do I repair a tyre?"
    assert first_words(" \n") == ""
    assert first_words("\u202e\u2060") == ""
