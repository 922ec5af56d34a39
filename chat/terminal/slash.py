"""What begins with a slash: commands of the terminal, nothing that a model sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rich.table import Table
from rich.text import Text

from chat.terminal.saying import one_line
from common.db import in_thread
from common.errors import Invalid
from common.money import as_decimal
from common.text import excerpt

if TYPE_CHECKING:
    from rich.console import Console

    from chat.models import Conversation
    from chat.streams.events import TurnRef
    from chat.terminal.talk import Talk
    from models_registry.models import ChatModel


class Session(Protocol):
    """What a command works on. The lists that were shown stay known."""

    talk: Talk
    console: Console
    known_models: list[ChatModel]
    known_conversations: list[tuple[str, str]]

    async def load_models(self) -> list[ChatModel]: ...
    async def load_conversations(self) -> list[tuple[Conversation, str]]: ...
    async def open(self, which: str) -> None: ...
    async def show(self, ref: TurnRef) -> None: ...
    def say(self, text: str) -> None: ...
    def say_model(self) -> None: ...


class Command(NamedTuple):
    """`takes` names the argument, in capitals; in brackets where it may be left out."""

    takes: str
    does: object
    run: Callable[[Session, str], Awaitable[None]]


class Leave(Exception):
    """The person has had enough."""


async def run(session: Session, line: str) -> None:
    """Do what `line` says, which begins with a slash. Raises Leave, and any AppError."""
    name, _space, argument = line[1:].partition(" ")
    command = COMMANDS.get(name.strip().lower())
    if command is None:
        raise Invalid(
            _("There is no command /%(name)s. /help lists them; // sends a line with a slash.")
            % {"name": excerpt(name.strip())}
        )
    argument = argument.strip()
    if not argument and command.takes and not command.takes.startswith("["):
        raise Invalid(
            _("Use: /%(name)s %(takes)s") % {"name": name.strip(), "takes": command.takes}
        )
    await command.run(session, argument)


def is_command(line: str) -> bool:
    """`/help` is one; `//help` and `/etc/passwd` are for the model."""
    first = line.split(maxsplit=1)[0]
    return first.startswith("/") and "/" not in first[1:]


def unescaped(line: str) -> str:
    return line[1:] if line.startswith("//") else line


def words_after(session: Session, name: str) -> Iterable[tuple[str, str]]:
    """What may stand after a command, for the completion."""
    if name in {"model", "retry"}:
        return [(model.name, model.display_name) for model in session.known_models]
    if name == "open":
        return [(id_, one_line(title)) for id_, title in session.known_conversations]
    return []


# -- the commands ------------------------------------------------------------------------------
async def _help(session: Session, argument: str) -> None:
    grid = _grid()
    for name, command in COMMANDS.items():
        grid.add_row(Text(f"/{name} {command.takes}".rstrip()), Text(str(command.does)))
    session.console.print(grid)
    session.console.print()
    keys = _grid()
    for key, does in (
        ("Alt-Enter, Ctrl-J", _("a new line; pasted lines stay together")),
        ("Up, Down", _("what you asked before")),
        ("Ctrl-X Ctrl-E", _("write in your editor ($EDITOR), then send")),
        ("Ctrl-C", _("stop an answer and keep its text; at the prompt clear the line, or leave")),
        ("Ctrl-D", _("leave")),
    ):
        keys.add_row(Text(key), Text(does))
    session.console.print(keys)


async def _model(session: Session, argument: str) -> None:
    if argument:
        await in_thread(session.talk.choose)(argument)
        session.say_model()
        return
    session.say_model()
    session.say(_("/models lists those you may use, /model NAME takes another one."))


async def _models(session: Session, argument: str) -> None:
    grid = _grid()
    current = session.talk.model
    for model in await session.load_models():
        mark = "*" if current is not None and model.pk == current.pk else " "
        grid.add_row(Text(f"{mark} {one_line(model.name)}"), Text(_about(model), style="dim"))
    session.console.print(grid)


def _about(model: ChatModel) -> str:
    parts = [one_line(model.connection.name)]
    if model.context_window:
        parts.append(_("%(tokens)s tokens of context") % {"tokens": f"{model.context_window:,}"})
    price = model.price
    if price.input_price or price.output_price:
        prices = {"input": _price(price.input_price), "output": _price(price.output_price)}
        parts.append(_("%(input)s + %(output)s per million tokens") % prices)
    return " · ".join(parts)


def _price(billionths: int) -> str:
    return as_decimal(billionths).rstrip("0").rstrip(".")


async def _new(session: Session, argument: str) -> None:
    session.talk.begin()
    session.say(_("A new conversation. It begins with your next question."))


async def _conversations(session: Session, argument: str) -> None:
    grid = _grid()
    current = session.talk.conversation
    found = await session.load_conversations()
    for number, (conversation, headline) in enumerate(found, start=1):
        mark = "*" if current is not None and conversation.pk == current.pk else " "
        told = f"{conversation.updated_at.astimezone():%Y-%m-%d %H:%M} · {conversation.model}"
        grid.add_row(
            Text(f"{mark} {number}"), Text(one_line(headline)), Text(one_line(told), style="dim")
        )
    session.console.print(grid)
    session.say(
        _("/open NUMBER goes on with one.") if found else _("There is no conversation yet.")
    )


async def _open(session: Session, argument: str) -> None:
    if argument.isdecimal():
        ids = [id_ for id_, _headline in session.known_conversations]
        if not 1 <= int(argument) <= len(ids):
            raise Invalid(_("There is no such number. /conversations lists them."))
        argument = ids[int(argument) - 1]
    await session.open(argument)


async def _retry(session: Session, argument: str) -> None:
    await session.show(await in_thread(session.talk.ask_again)(argument))


async def _title(session: Session, argument: str) -> None:
    await in_thread(session.talk.rename)(argument)
    session.say(_("The conversation has this title now."))


async def _system(session: Session, argument: str) -> None:
    if not argument:
        session.say(one_line(session.talk.system) or _("There is no system prompt."))
        return
    await in_thread(session.talk.instruct)("" if argument == "-" else argument)
    session.say(_("The next answers follow it.") if argument != "-" else _("It is gone."))


async def _quit(session: Session, argument: str) -> None:
    raise Leave


def _grid() -> Table:
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(no_wrap=True)
    return grid


COMMANDS: dict[str, Command] = {
    "help": Command("", gettext_lazy("this list"), _help),
    "model": Command("[NAME]", gettext_lazy("which model answers; take another one"), _model),
    "models": Command("", gettext_lazy("the models you may use"), _models),
    "new": Command("", gettext_lazy("begin a new conversation"), _new),
    "conversations": Command("", gettext_lazy("your recent conversations"), _conversations),
    "open": Command("NUMBER|ID|last", gettext_lazy("go on with a conversation"), _open),
    "retry": Command("[MODEL]", gettext_lazy("have the last question answered again"), _retry),
    "title": Command("TEXT", gettext_lazy("give the conversation a title"), _title),
    "system": Command("[TEXT]", gettext_lazy("the system prompt; /system - removes it"), _system),
    "quit": Command("", gettext_lazy("leave"), _quit),
}
