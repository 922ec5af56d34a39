"""The base of `manage.py` commands: subcommands, `--format table|json`, exit codes.

Exit 0: done. 1: refused, and the reason is on stderr. 2: the command line itself is wrong.
`about` says what a command is for, as a lazy text. A handler returns what there is to say: rows (a
list of dicts), one record (a dict), a sentence, or nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)
from django.db import DatabaseError, DataError, IntegrityError, ProgrammingError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from common import schema_state, sources
from common.errors import AppError, reason_of
from common.text import JOINERS

# The tag of the checks that ask nothing but the settings.
SETTINGS_CHECKS = "parley"

Answer = Sequence[Mapping[str, Any]] | Mapping[str, Any] | str | None
Handler = Callable[..., Answer]

FORMATS = ("table", "json")
_MOST = 1_000_000


class Refused(CommandError):
    """An expected failure, printed as one line."""

    def __init__(self, text: str) -> None:
        super().__init__(text, returncode=1)


class _Help(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Examples keep their lines."""


class ExplainedCommand(BaseCommand):
    """What `--help` says of any command of ours, and nothing that is only Django's."""

    about: ClassVar[Any]
    examples: ClassVar[Sequence[str]] = ()
    # All of them would load every page of the site first.
    requires_system_checks: list[str] | tuple[str, ...] = (SETTINGS_CHECKS,)
    suppressed_base_arguments = {
        "--version",
        "--verbosity",
        "--settings",
        "--pythonpath",
        "--traceback",
        "--no-color",
        "--force-color",
        "--skip-checks",
    }

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs.setdefault("formatter_class", _Help)
        self.help = str(self.about)
        if self.examples:
            lines = "\n".join(f"  {example}" for example in self.examples)
            kwargs.setdefault("epilog", _("examples:") + f"\n{lines}")
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        for action in parser._actions:  # noqa: SLF001 Django adds one past what suppresses others
            if self.suppressed_base_arguments & set(action.option_strings):
                action.help = argparse.SUPPRESS
        return parser


class _Cli(ExplainedCommand, ABC):
    @abstractmethod
    def handler(self, options: dict[str, Any]) -> Handler:
        """What to call with the rest of `options`."""

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options.get("format") == "json"
        try:
            with sources.command(type(self).__module__.rpartition(".")[2]):
                answer = self.handler(options)(**options)
        except AppError as error:
            if as_json:
                self.stderr.write(dump_json(error.as_problem()), style_func=str)
                sys.exit(1)
            raise Refused(_sentence(error)) from error
        except (DataError, IntegrityError):  # a bug of ours
            raise
        except DatabaseError as error:
            if text := _what_ails_the_database(error):
                raise Refused(text) from error
            raise
        if answer is None:
            return
        if as_json or answer:
            self.stdout.write(_as_json(answer) if as_json else _as_text(answer))
        else:
            # Not among the rows, where a program would take it for one.
            self.stderr.write(_("There is nothing to show."), style_func=str)


class CliCommand(_Cli):
    """One thing to do: override `add_options` and `run`."""

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_options(parser)
        _add_format(parser)

    def add_options(self, parser: CommandParser) -> None:
        """Add what this command takes."""

    @abstractmethod
    def run(self, *args: Any, **options: Any) -> Answer:
        """Do it; raises AppError."""

    def handler(self, options: dict[str, Any]) -> Handler:
        return self.run


class CliGroup(_Cli):
    """Several things to do with one kind of thing: override `add_commands`."""

    def add_arguments(self, parser: CommandParser) -> None:
        self._commands = parser.add_subparsers(
            dest="command", required=True, title=_("commands"), metavar="COMMAND"
        )
        self.add_commands()

    @abstractmethod
    def add_commands(self) -> None:
        """Call `self.add` for each subcommand."""

    def add(
        self,
        name: str,
        handler: Handler,
        *,
        help: str,  # noqa: A002 argparse's word
        formats: Sequence[str] = FORMATS,
    ) -> CommandParser:
        """`formats` are those of what the handler itself writes, where it answers nothing; the
        first one counts where nobody chose."""
        parser: CommandParser = self._commands.add_parser(name, help=help, description=help)
        parser.set_defaults(handler=handler)
        _add_format(parser, formats)
        return parser

    def handler(self, options: dict[str, Any]) -> Handler:
        handler: Handler = options.pop("handler")
        options.pop("command")
        return handler


def usage_error(text: str) -> CommandError:
    """What to raise when the options do not go together."""
    return CommandError(text, returncode=2)


def how_many(text: str) -> int:
    """What `--limit` takes, as argparse wants it: a number from 1 on."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MOST)) else 0
    if not 1 <= number <= _MOST:
        told = _("a number from 1 to %(most)d, not %(text)s") % {"most": _MOST, "text": text[:40]}
        raise argparse.ArgumentTypeError(told)
    return number


def confirm(question: str) -> None:
    """Go on if whoever sits at the terminal says yes. Raises Refused where they do not, a usage
    error where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise usage_error(_("%(option)s is missing.") % {"option": "--yes"})
    if ask(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise Refused(_("Nothing was changed."))


def ask(question: str, *, read: Callable[[str], str] | None = None) -> str:
    """What somebody types. Raises Refused where they leave instead, by Ctrl-C or Ctrl-D."""
    try:
        return (read or input)(question)
    except (EOFError, KeyboardInterrupt):
        sys.stderr.write("\n")  # the cursor stands behind the question
        raise Refused(_("Nothing was changed.")) from None


def moment(text: str) -> datetime | None:
    """The time that `text` names: a date (its midnight), or a date and time; without an offset in
    the deployment's time zone. None where it names none."""
    try:
        found = parse_datetime(text)
        if found is None and (day := parse_date(text)):
            found = datetime(day.year, day.month, day.day)  # noqa: DTZ001 made aware below
    except ValueError:
        return None
    return timezone.make_aware(found) if found and timezone.is_naive(found) else found


def dump_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows under the keys of the first one, each column as wide as it needs."""
    if not rows:
        return ""
    names = list(rows[0])
    lines = [[name.upper().replace("_", " ") for name in names]]
    lines += [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _add_format(parser: CommandParser, formats: Sequence[str] = FORMATS) -> None:
    told = _("How to print (%(usual)s).") % {"usual": formats[0]}
    parser.add_argument("--format", choices=formats, help=told)


def _what_ails_the_database(error: DatabaseError) -> str:
    """A sentence, or "" where it is there and set up, and the statement is what was wrong."""
    try:
        is_behind = schema_state.is_behind()
    except DatabaseError as refusal:
        told = _("The database cannot be reached (%(reason)s). Check DATABASE_URL.")
        return told % {"reason": reason_of(refusal)}
    if is_behind:
        return _("The database is not set up for this version. Run: manage.py migrate")
    if not isinstance(error, ProgrammingError):
        return _("The database failed (%(reason)s).") % {"reason": reason_of(error)}
    return ""


def _sentence(error: AppError) -> str:
    if not error.errors:
        return str(error)
    return " ".join(
        f"{field}: {' '.join(str(text) for text in texts)}" for field, texts in error.errors.items()
    )


def _as_json(answer: Answer) -> str:
    return dump_json({"detail": answer} if isinstance(answer, str) else answer)


def _as_text(answer: Answer) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, Mapping):
        width = max((_width(name) for name in answer), default=0)
        return "\n".join(
            f"{name.replace('_', ' '):<{width}}  {_cell(value)}" for name, value in answer.items()
        )
    return table(answer or ())


def _cell(value: Any) -> str:
    """`value` on one line, with nothing in it that a terminal would obey."""
    if value is None:
        text = "-"
    elif isinstance(value, bool):
        text = _("yes") if value else _("no")
    elif isinstance(value, list | tuple | set | frozenset):
        text = ", ".join(str(item) for item in value) or "-"
    else:
        text = str(value)
    return "".join(char if char.isprintable() or char in JOINERS else " " for char in text)


def _width(text: str) -> int:
    """Columns on a terminal: Chinese takes two, a combining mark or a joiner none."""
    return sum(
        0
        if unicodedata.combining(char) or char in JOINERS
        else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )
