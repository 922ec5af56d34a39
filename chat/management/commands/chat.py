from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.management.callers import caller_named
from chat.terminal.following import Signals
from chat.terminal.once import STOPPED, answer_once, question_of
from chat.terminal.opening import database_told_plainly, furnish
from chat.terminal.talk import Talk
from chat.turns.runner import runner
from common.commands import SETTINGS_CHECKS, Answer, CliCommand, usage_error
from common.languages import speak


class Command(CliCommand):
    about = gettext_lazy(
        "Talk to a model in the terminal. Answers appear as they are written, and are stored\n"
        "like those of every other client. It works beside a running server and without one.\n"
        "\n"
        "With a question, or in a pipe, it answers once. Exit code 0: answered. 1: the model\n"
        "failed, and stderr says why. 2: the command line is wrong. 130: stopped by Ctrl-C."
    )
    examples = (
        "manage.py chat                                   talk; /help lists what you can do",
        "manage.py chat --conversation last               go on where you were",
        "manage.py chat --model gpt-4o --user ada         choose who answers, and who asks",
        'manage.py chat "What is a turn?"                 one question, one answer',
        'git diff | manage.py chat "Write a commit message" > message.txt',
        'manage.py chat --format json "Hi" | tail -1      the stored message, with its usage',
        "manage.py chat --list                            recent conversations, with their ids",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("question", nargs="*", metavar="QUESTION", help=_("Ask this, once."))
        parser.add_argument("-m", "--model", metavar="NAME", help=_("Who answers (the default)."))
        parser.add_argument(
            "-c",
            "--conversation",
            metavar="ID|last",
            help=_("Go on with this conversation (a new one)."),
        )
        parser.add_argument(
            "-u",
            "--user",
            metavar="NAME",
            help=_("Who asks: user name or e-mail (the only person there is)."),
        )
        parser.add_argument(
            "-s", "--system", metavar="TEXT", help=_("The system prompt of the conversation.")
        )
        parser.add_argument(
            "-l", "--list", action="store_true", help=_("List recent conversations and leave.")
        )
        parser.add_argument(
            "--format",
            choices=("text", "json"),
            default="text",
            help=_("json: the events of the answer, one a line (text)."),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.check(tags=[SETTINGS_CHECKS])
        options["as_json"] = options["format"] == "json"
        super().handle(*args, **options)

    def run(
        self,
        *,
        question: list[str],
        model: str | None,
        conversation: str | None,
        user: str | None,
        system: str | None,
        as_json: bool,
        **options: Any,
    ) -> Answer:
        _keep_logs_out_of_the_way()
        code = 0
        try:
            with database_told_plainly():
                talk = _talk(user, model=model, conversation=conversation, system=system)
                if options["list"]:
                    return _listed(talk)
                furnish()
                if talk.model is None:
                    talk.choose(model)
                code = _answer(talk, question, as_json=as_json)
        except KeyboardInterrupt:
            code = STOPPED
        finally:
            _drain()
        if code:
            sys.exit(code)
        return None


def _talk(
    user: str | None, *, model: str | None, conversation: str | None, system: str | None
) -> Talk:
    talk = Talk(caller_named(user))
    speak(talk.caller.user.language)
    if conversation:
        talk.open(conversation)
        if model:
            talk.choose(model)
    if system:
        talk.instruct(system)
    return talk


def _listed(talk: Talk) -> Answer:
    return [
        {
            "id": str(each.pk),
            "title": each.title or getattr(each, "question", None) or "",
            "model": each.model,
            "messages": each.message_count,
            "updated_at": each.updated_at.isoformat(timespec="seconds"),
        }
        for each in talk.recent()
    ] or _("There is no conversation yet.")


def _answer(talk: Talk, words: list[str], *, as_json: bool) -> int:
    """Talk, or answer once; the exit code."""
    signals = Signals()
    talks = not (words or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
    if as_json and not words and sys.stdin.isatty():
        raise usage_error(_("With --format json, add the question, or pipe it in."))
    try:
        if talks:
            # Only here: they take a while to load.
            from chat.terminal.interactive import Interactive  # noqa: PLC0415

            asyncio.run(Interactive(talk, signals).run())
            return 0
        asked = question_of(words)
        return asyncio.run(answer_once(talk, asked, as_json=as_json, signals=signals))
    except asyncio.CancelledError:
        return signals.code


def _keep_logs_out_of_the_way() -> None:
    """Whoever talks is told in sentences; LOG_LEVEL=DEBUG shows what is logged, too."""
    if settings.LOG_LEVEL != "DEBUG":
        logging.disable(logging.ERROR)


def _drain() -> None:
    """End what still runs and let go of the providers' connections."""
    with suppress(TimeoutError, KeyboardInterrupt):
        runner.close_from_thread()
