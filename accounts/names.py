"""What a user name and an e-mail address may be, and when two of them are the same (S11, S12)."""

from __future__ import annotations

import unicodedata

import regex
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.utils.translation import gettext_lazy as _

EMAIL_CHARACTERS = 254

# The scripts that Unicode recommends for identifiers (UAX #31, table 5). Japanese and Korean
# write several of them in one word, which UTS #39 counts as one.
_SCRIPTS = """
Latin Cyrillic Greek Armenian Georgian Arabic Hebrew Thaana Devanagari Bengali Gurmukhi Gujarati
Oriya Tamil Telugu Kannada Malayalam Sinhala Thai Lao Tibetan Myanmar Khmer Ethiopic
""".split()  # noqa: SIM905 a paragraph reads better than forty quotes
_JOINT_SCRIPTS = (("Han", "Hiragana", "Katakana"), ("Han", "Hangul"), ("Han", "Bopomofo"))


def _of_one_script() -> regex.Pattern[str]:
    sets = [rf"\p{{Script={name}}}" for name in _SCRIPTS]
    sets += ["".join(rf"\p{{Script={name}}}" for name in names) for names in _JOINT_SCRIPTS]
    # U+30FC, the long vowel of Japanese, belongs to no script by itself.
    sets = [f"{chars}\u30fc" if "Katakana" in chars else chars for chars in sets]
    # Marks, because Hindi or Thai has no word without them; accents that any script may take
    # (Script=Inherited) are not among them, so nothing can be piled upon a letter.
    words = [rf"(?:[[{chars}]&&[\p{{L}}\p{{M}}\p{{Nd}}]]|[0-9._-])+" for chars in sets]
    return regex.compile("|".join(words), regex.V1)


_ONE_SCRIPT = _of_one_script()
_SOMETHING_TO_SAY = regex.compile(r"[\p{L}\p{Nd}]", regex.V1)
_check_email = EmailValidator(_("This is not an e-mail address."))


def fold(text: str) -> str:
    """What decides whether two names or addresses are the same: NFKC, without regard to case."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def clean_username(text: str) -> str:
    """`text` as it is stored. Raises Django's ValidationError."""
    low, high = settings.USERNAME_MIN_CHARACTERS, settings.USERNAME_MAX_CHARACTERS
    name = unicodedata.normalize("NFKC", text) if len(text) <= high else text
    if not (low <= len(text) <= high and low <= len(name) <= high):
        raise ValidationError(
            _("Use %(low)d to %(high)d characters.") % {"low": low, "high": high}, code="length"
        )
    if not (_ONE_SCRIPT.fullmatch(name) and _SOMETHING_TO_SAY.search(name)):
        raise ValidationError(
            _("Use letters of one script, digits and the signs . _ - only."), code="characters"
        )
    return name


def clean_email(text: str) -> str:
    """`text` as it is stored, which is as it was written. Raises Django's ValidationError."""
    address = text.strip(" ")
    if len(address) > EMAIL_CHARACTERS:
        raise ValidationError(_("This is not an e-mail address."), code="invalid")
    _check_email(address)
    return address
