"""How an API key is written: `parley-`, 32 random bytes, and a checksum (K1).

Bytes and checksum are numbers in base 62, 43 and 6 digits long; the checksum is the CRC-32 of the
43 digits. So scanners for leaked secrets find a key by `PATTERN` and can tell by the checksum that
it is one, and a misspelt key is refused without asking the database.
"""

from __future__ import annotations

import re
import secrets
import string
from zlib import crc32

BEGINNING = "parley-"
PATTERN = r"\bparley-[0-9A-Za-z]{49}\b"

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_BYTES = 32
_SECRET_DIGITS = 43
_CHECKSUM_DIGITS = 6
_KEY = re.compile(r"parley-([0-9A-Za-z]{43})([0-9A-Za-z]{6})")


def new_key() -> str:
    secret = _written(int.from_bytes(secrets.token_bytes(_SECRET_BYTES)), _SECRET_DIGITS)
    return f"{BEGINNING}{secret}{_checksum(secret)}"


def claims_to_be_key(text: str) -> bool:
    """Is it meant as a key, be it a good one or not?"""
    return text.startswith(BEGINNING)


def is_well_formed(text: str) -> bool:
    """Is it a key that we may have made? Asks nobody."""
    found = _KEY.fullmatch(text)
    return found is not None and _checksum(found[1]) == found[2]


def _checksum(secret: str) -> str:
    return _written(crc32(secret.encode("ascii")), _CHECKSUM_DIGITS)


def _written(number: int, digits: int) -> str:
    """`number` in base 62, with zeros before it where it is short."""
    text = ""
    for _place in range(digits):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text
