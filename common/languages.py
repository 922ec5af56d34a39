"""Which language people are answered in: their own choice, else what the request asks for (as
`EdgeMiddleware` and `request_headers.language_of` read it), else English.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import translation


def speak(chosen: str) -> None:
    """Use the language that somebody chose from here on, if they chose one that there is."""
    if chosen in dict(settings.LANGUAGES):
        translation.activate(chosen)


def speak_to(user: Any) -> None:
    """The same for whoever calls; an anonymous caller has chosen nothing."""
    speak(getattr(user, "language", ""))
