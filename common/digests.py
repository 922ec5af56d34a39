"""What is kept of a text that has to be recognised and is never told again."""

from __future__ import annotations

import hashlib


def digest(text: str) -> str:
    """SHA-256 in hexadecimal digits; also of what is no valid Unicode, as clients may send it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
