"""Commands speak the language of the terminal they run in."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

from django.core.management import ManagementUtility
from django.core.management.base import BaseCommand
from django.utils import translation

from common.languages import speak


class CommandLine(ManagementUtility):
    def __init__(self, argv: list[str], *, environ: Mapping[str, str]) -> None:
        super().__init__(argv)
        gc.disable()  # what is imported now stays: a tenth of a start was looking through it
        self.environ = environ

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """By now Django is set up, and nothing has been said."""
        speak(language_of(self.environ))
        command: Any = super().fetch_command(subcommand)
        gc.freeze()
        gc.enable()
        return command  # type: ignore[no-any-return]


def language_of(environ: Mapping[str, str]) -> str:
    """What the locale asks for ("zh_CN.UTF-8"), empty where it names no language of ours."""
    name = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG", "")
    try:
        return translation.get_supported_language_variant(
            translation.to_language(name.partition(".")[0].partition("@")[0])
        )
    except LookupError:
        return ""
