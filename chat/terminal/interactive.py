"""A talk in a terminal: ask, see the answer come, ask again."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext as _
from rich.console import Console
from rich.text import Text

from chat.terminal import slash
from chat.terminal.following import follow
from chat.terminal.live import LiveScreen
from chat.terminal.markdown import THEME, Lines, blocks_of, lines_of
from chat.terminal.opening import DATABASE_ERRORS, what_is_wrong
from chat.terminal.plain import PlainScreen
from chat.terminal.prompt import prompt_session
from chat.terminal.saying import account_of, failure_of, one_line, sources_of, visible
from common.db import in_thread
from common.problems import as_app_error

if TYPE_CHECKING:
    from chat.models import Conversation
    from chat.streams.events import TurnRef
    from chat.terminal.following import Signals
    from chat.terminal.talk import Talk
    from models_registry.models import ChatModel

# How much of a conversation is shown when it is opened.
_SHOWN_MESSAGES = 4
# Of the list that termios works with.
_INPUT, _LOCAL = 0, 3


class Interactive:
    """The session between a start and a leave. Lists that were shown stay known."""

    def __init__(self, talk: Talk, signals: Signals) -> None:
        self.talk = talk
        self.signals = signals
        self.console = Console(theme=THEME, highlight=False, emoji=False, markup=False)
        self.known_models: list[ChatModel] = []
        self.known_conversations: list[tuple[str, str]] = []

    async def run(self) -> None:
        """Until the person leaves."""
        self.signals.listen()
        with _keys_kept():
            await self._talk()
        if self.talk.conversation is not None:
            going_on = f"manage.py chat --conversation {self.talk.conversation.pk}"
            self.say(_("To go on: %(command)s") % {"command": going_on})

    async def _talk(self) -> None:
        await self.load_models()
        self._greet()
        if self.talk.conversation is not None:
            await self._show_opened()
        prompt = prompt_session(
            self.talk.caller.user.pk,
            commands={name: str(command.does) for name, command in slash.COMMANDS.items()},
            words=lambda name: slash.words_after(self, name),
            toolbar=self._toolbar,
        )
        with suppress(EOFError, KeyboardInterrupt, slash.Leave):
            while True:
                line = await prompt.prompt_async()
                self.signals.listen()
                if line.strip():
                    await self._take(line)

    async def _take(self, line: str) -> None:
        try:
            if slash.is_command(line):
                await slash.run(self, line.strip())
            else:
                ref = await in_thread(self.talk.ask)(slash.unescaped(line.rstrip()))
                await self.show(ref)
        except Exception as exc:
            reason = None
            if isinstance(exc, DATABASE_ERRORS):
                reason = await in_thread(what_is_wrong)(exc)
            error = reason or as_app_error(exc)
            if error is None:
                raise
            self.complain(str(error))

    # -- what slash commands use -----------------------------------------------------------
    async def load_models(self) -> list[ChatModel]:
        self.known_models = await in_thread(self.talk.models)()
        return self.known_models

    async def load_conversations(self) -> list[tuple[Conversation, str]]:
        """The recent ones with the words they are known by."""
        found = await in_thread(self.talk.recent)()
        listed = [(each, each.title or getattr(each, "question", "") or "") for each in found]
        self.known_conversations = [(str(each.pk), headline) for each, headline in listed]
        return listed

    async def open(self, which: str) -> None:
        await in_thread(self.talk.open)(which)
        await self._show_opened()

    async def show(self, ref: TurnRef) -> None:
        """Show a turn to its end, and what is to be said about it."""
        self.signals.stop.clear()
        self.console.print()
        if self.console.is_dumb_terminal:
            end = await follow(self.talk.caller, ref, PlainScreen(sys.stdout), self.signals)
        else:
            screen = LiveScreen(self.console)
            async with screen.shown():
                end = await follow(self.talk.caller, ref, screen, self.signals)
        self._conclude(end)

    def say(self, text: str) -> None:
        self.console.print(Text(text, style="dim"))

    def complain(self, text: str) -> None:
        self.console.print(Text(visible(text), style="red"))

    def say_model(self) -> None:
        model = self.talk.model
        if model is None:
            self.complain(
                _("The model of this conversation is not available. /models lists yours.")
            )
            return
        self.say(_("Model: %(model)s") % {"model": one_line(model.name)})
        if self.talk.is_offline:
            self.console.print(Text(about_offline(), style="yellow"))

    # -- what is shown ---------------------------------------------------------------------
    def _greet(self) -> None:
        name = one_line(self.talk.caller.user.name)
        self.console.print(Text.assemble((f"Parley {settings.VERSION}", "bold"), f" · {name}"))
        self.say_model()
        self.say(_("/help lists what you can do. Ctrl-C stops an answer, Ctrl-D leaves."))
        self.console.print()

    async def _show_opened(self) -> None:
        """The end of the conversation; if it is being answered just now, that too."""
        messages = await in_thread(self.talk.messages)(limit=_SHOWN_MESSAGES)
        running = await in_thread(self.talk.running)()
        for message in messages:
            if running is None or message["id"] != running.message_id:
                self._show_message(message)
        self.say_model()
        if running is not None:
            await self.show(running)

    def _show_message(self, message: dict[str, Any]) -> None:
        self.console.print()
        if message["role"] == "user":
            self.console.print(Text(f"> {visible(message['content'])}", style="bold"))
            return
        for number, block in enumerate(blocks_of(visible(message["content"]), {})):
            if number:
                self.console.print()
            self.console.print(Lines(lines_of(block, self.console)), end="")

    def _conclude(self, end: dict[str, Any]) -> None:
        if failure := failure_of(end):
            self.complain(failure)
            self.say(_("/retry asks again, /retry MODEL asks another model."))
        if message := end.get("message"):
            for source in sources_of(message):
                self.say(source)
            self.say(account_of(message))
        self.console.print()

    def _toolbar(self) -> str:
        model = self.talk.model
        parts = [one_line(model.name) if model is not None else _("no model")]
        if self.talk.conversation is None:
            parts.append(_("new conversation"))
        elif self.talk.conversation.title:
            parts.append(one_line(self.talk.conversation.title))
        parts.append("/help")
        return " · ".join(parts)


def about_offline() -> str:
    return _(
        "It is built in: no AI, it answers from Parley's documentation. To connect a real model: "
        "manage.py connection add --help"
    )


@contextmanager
def _keys_kept() -> Iterator[None]:
    """Keys pressed while no prompt is there neither show nor get lost: the next prompt has them.

    Not in lines, as the terminal itself would gather them: what it has gathered, and its idea of
    Enter and Ctrl-D, do not survive the change to the prompt's own mode.
    """
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, ValueError, OSError):
        yield
        return
    kept = termios.tcgetattr(sys.stdin)
    kept[_INPUT] &= ~termios.ICRNL
    kept[_LOCAL] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, kept)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
