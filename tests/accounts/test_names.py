"""When two names are the same (S11, S12)."""

from __future__ import annotations

import unicodedata

import pytest
from django.core.exceptions import ValidationError

from accounts.names import clean_email, clean_username, fold

pytestmark = pytest.mark.row("S11", "S12")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Mina", "mINA"),
        ("\uff2dina", "mina"),
        ("\u1d2cnn", "ann"),  # a raised A: normalised it is a capital
        ("stra\xdfe", "STRASSE"),
        ("\u212aelvin", "kelvin"),
        ("\ufb01n", "fin"),
        ("e\u0301va", "\xe9va"),
        ("\u03b1\u03c2", "\u0391\u03a3"),  # a sigma at the end of a word
    ],
)
def test_spellings_of_one_name_fold_to_one(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("mina", "mira"), ("mina", "mina."), ("a\u0308", "a")])
def test_different_names_stay_different(one, other):
    assert fold(one) != fold(other)


@pytest.mark.parametrize("name", ["\u0390", "\u1e9e", "\u0130", "\ufb03", "ΌΣΟΣ"])
def test_what_is_compared_is_normalised(name):
    assert unicodedata.is_normalized("NFKC", fold(name))


@pytest.mark.parametrize("name", ["a" * 100_000, "\ufdfa" * 50_000])
def test_endless_names_are_refused_without_being_read(name, monkeypatch):
    """R4: nothing whose cost grows with the name is asked."""
    monkeypatch.setattr("accounts.names.unicodedata", None)
    monkeypatch.setattr("accounts.names._ONE_SCRIPT", None)
    monkeypatch.setattr("accounts.names._check_email", None)

    for clean in (clean_username, clean_email):
        with pytest.raises(ValidationError):
            clean(name)
