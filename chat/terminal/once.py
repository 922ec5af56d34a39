"""One question, one answer, for pipes and scripts."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext as _

from chat.models import Message
from chat.terminal.following import Signals, follow
from chat.terminal.plain import JsonScreen, PlainScreen
from chat.terminal.saying import failure_of
from common.commands import usage_error
from common.db import in_thread
from common.errors import Invalid

if TYPE_CHECKING:
    from chat.terminal.following import Screen
    from chat.terminal.talk import Talk

FAILED = 1
STOPPED = 130
NOBODY_READS = 141


def question_of(words: list[str]) -> str:
    """What was asked on the command line, then what comes through the pipe."""
    parts = [" ".join(words)]
    if not (words and sys.stdin.isatty()):
        if sys.stdin.isatty():
            sys.stderr.write(_("Type your question, then Ctrl-D.") + "\n")
        parts.append(_piped())
    question = "\n\n".join(part.rstrip() for part in parts if part.strip())
    if not question:
        raise usage_error(_("There is no question."))
    return question


def _piped() -> str:
    most = 4 * settings.CONTENT_CHARACTERS  # a character has four bytes at most
    data = sys.stdin.buffer.read(most + 1)
    if len(data) > most:
        raise Invalid(
            _("This is too long: %(most)d characters at most.")
            % {"most": settings.CONTENT_CHARACTERS}
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid(_("The question is not text in UTF-8.")) from None


async def answer_once(talk: Talk, question: str, *, as_json: bool, signals: Signals) -> int:
    """Answer on stdout; the exit code. What failed is told on stderr."""
    signals.listen()
    screen: Screen = JsonScreen(sys.stdout) if as_json else PlainScreen(sys.stdout)
    ref = await in_thread(talk.ask)(question)
    try:
        end = await follow(talk.caller, ref, screen, signals)
    except BrokenPipeError:
        # Nobody is left to tell; Python would try once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    if failure := failure_of(end):
        sys.stderr.write(failure + "\n")
        return FAILED
    if end["message"]["status"] == Message.Status.STOPPED:
        return STOPPED
    return 0
