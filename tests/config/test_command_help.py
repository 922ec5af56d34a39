"""Every `manage.py` command of ours explains itself to whoever types `--help`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest
from django.core.management import get_commands, load_command_class
from django.utils import translation

from common.commands import ExplainedCommand
from tests.test_house_rules import APPS


def _ours() -> Iterator[str]:
    for name, app in sorted(get_commands().items()):
        if app in APPS and isinstance(load_command_class(app, name), ExplainedCommand):
            yield name


OURS = list(_ours())


def _parsers(name: str) -> dict[str, argparse.ArgumentParser]:
    """The command's parser and those of its subcommands, by what one types."""
    command = load_command_class(get_commands()[name], name)
    whole = command.create_parser("manage.py", name)
    return {name: whole, **{f"{name} {each}": parser for each, parser in _below(whole).items()}}


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [each.choices for each in _arguments(parser) if each.nargs == argparse.PARSER]
    return dict(found[0]) if found else {}


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 argparse lists them nowhere else


def test_commands_of_all_apps_are_looked_at():
    assert {"backup", "chat", "connection", "serve", "sessions", "user"} <= set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_it_says_what_it_is_for_and_gives_examples(name):
    parsers = _parsers(name)

    assert [typed for typed, parser in parsers.items() if not parser.description] == []
    whole = parsers[name].format_help()
    assert f"examples:\n  manage.py {name}" in whole
    assert not [each for each in ExplainedCommand.suppressed_base_arguments if each in whole]


@pytest.mark.parametrize("name", OURS)
def test_each_option_says_what_it_does(name):
    silent = [
        f"{typed} {action.option_strings or action.dest}"
        for typed, parser in _parsers(name).items()
        for action in _arguments(parser)
        if not (action.help or action.nargs == argparse.PARSER)
    ]

    assert silent == []


# It answers to nobody: what it says is said until it ends.
@pytest.mark.parametrize("name", [name for name in OURS if name != "serve"])
def test_each_of_them_answers_in_json_too(name):
    mute = [
        typed
        for typed, parser in _parsers(name).items()
        if not _below(parser)
        and not any("json" in (action.choices or ()) for action in _arguments(parser))
    ]

    assert mute == []


# Run by those who work on Parley, in English like all that is for them.
@pytest.mark.parametrize("name", [name for name in OURS if name != "document_settings"])
def test_it_speaks_chinese(name):
    in_english = {typed: parser.description for typed, parser in _parsers(name).items()}

    with translation.override("zh-hans"):
        in_chinese = {typed: parser.description for typed, parser in _parsers(name).items()}

    assert [typed for typed in in_english if in_english[typed] == in_chinese[typed]] == []
