"""What is asked: the words of the command line, then what comes through the pipe."""

from __future__ import annotations

import io
import sys

import pytest
from django.core.management.base import CommandError

from chat.terminal.once import question_of
from common.errors import Invalid


class Pipe(io.TextIOWrapper):
    def __init__(self, data=b"", *, is_terminal=False):
        super().__init__(io.BytesIO(data), encoding="ascii")
        self._is_terminal = is_terminal

    def isatty(self):
        return self._is_terminal


@pytest.mark.parametrize(
    ("words", "piped", "question"),
    [
        (["What", "is", "it?"], b"", "What is it?"),
        ([], b"What?\n", "What?"),
        ([], b"  indented\n\nlines \n\n", "  indented\n\nlines"),
        (["Translate:"], "grüß\n".encode(), "Translate:\n\ngrüß"),
    ],
)
def test_words_and_pipe_are_one_question(monkeypatch, words, piped, question):
    monkeypatch.setattr(sys, "stdin", Pipe(piped))

    assert question_of(words) == question


def test_a_terminal_is_not_read_when_there_are_words(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe(b"never read", is_terminal=True))

    assert question_of(["Hi"]) == "Hi"


def test_a_terminal_is_read_to_its_end_when_stdout_goes_elsewhere(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Pipe(b"typed\n", is_terminal=True))

    assert question_of([]) == "typed"
    assert "Ctrl-D" in capsys.readouterr().err


@pytest.mark.parametrize("piped", [b"", b" \n\t\n"])
def test_no_question_is_a_wrong_command_line(monkeypatch, piped):
    monkeypatch.setattr(sys, "stdin", Pipe(piped))

    with pytest.raises(CommandError) as refused:
        question_of([])

    assert refused.value.returncode == 2


@pytest.mark.parametrize("piped", [b"\xff\xfe", b"x" * 400_001, b"\xff" * 400_001])
def test_what_is_no_text_or_far_too_long_is_refused(monkeypatch, piped):
    monkeypatch.setattr(sys, "stdin", Pipe(piped))

    with pytest.raises(Invalid):
        question_of([])
