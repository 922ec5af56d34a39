"""The line where a person types: several lines if they like, with history and completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style

from chat.terminal.history import history_file

if TYPE_CHECKING:
    from uuid import UUID

# Words that may stand after `/name`, and what is said beside them.
Words = Callable[[str], Iterable[tuple[str, str]]]

_STYLE = Style.from_dict(
    {
        "prompt": "bold",
        "bottom-toolbar": "noreverse fg:ansibrightblack",
        "auto-suggestion": "fg:ansibrightblack",
    }
)
_MARK = "> "


def prompt_session(
    user_id: UUID, *, commands: dict[str, str], words: Words, toolbar: Callable[[], str]
) -> PromptSession[str]:
    """`commands` are the slash commands with what they do, `words` what may follow them."""
    return PromptSession(
        FormattedText([("class:prompt", _MARK)]),
        multiline=True,
        prompt_continuation=" " * len(_MARK),
        history=_history(user_id),
        auto_suggest=AutoSuggestFromHistory(),
        completer=_SlashCompleter(commands, words),
        complete_while_typing=Condition(_is_command),
        key_bindings=_keys(),
        bottom_toolbar=lambda: FormattedText([("class:bottom-toolbar", toolbar())]),
        enable_open_in_editor=True,
        tempfile_suffix=".md",
        style=_STYLE,
        reserve_space_for_menu=6,
    )


def _history(user_id: UUID) -> History:
    try:
        return _PrivateHistory(history_file(user_id))
    except OSError:  # a folder that cannot be written is no reason not to talk
        return InMemoryHistory()


class _PrivateHistory(FileHistory):
    def store_string(self, string: str) -> None:
        """The file is there already, and readable by its owner alone."""
        try:
            super().store_string(string)
        except (OSError, UnicodeError):
            return  # a full disk, or what no file can hold: the talk goes on


def _is_command() -> bool:
    return get_app().current_buffer.text.startswith("/")


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _clear_or_leave(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys


class _SlashCompleter(Completer):
    def __init__(self, commands: dict[str, str], words: Words) -> None:
        self._commands = commands
        self._words = words

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        name, space, rest = text[1:].partition(" ")
        offered = self._words(name) if space else self._commands.items()
        typed = rest if space else name
        for word, meaning in offered:
            if word.startswith(typed) and word != typed:
                yield Completion(word, start_position=-len(typed), display_meta=meaning)
