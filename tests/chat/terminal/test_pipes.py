"""In a pipe the command answers once: the words on stdout, the reason on stderr, an exit code."""

from __future__ import annotations

import json
import signal

import pytest

from chat.models import Conversation, Message, Turn
from tests.models_registry.upstream import (
    CUT,
    HANG,
    Reply,
    Wait,
    answer,
    delta,
    finish,
    refusal,
    sse,
)
from tests.waiting import until

SECONDS = 60


def read_until(stream, text):
    """What comes out of a pipe up to `text`, without waiting for more."""
    found = b""
    while text.encode() not in found:
        piece = stream.read(4096)
        assert piece, f"ended before {text!r}: {found!r}"
        found += piece
    return found.decode()


def test_a_question_from_a_pipe_is_answered_on_stdout(terminal, echo, upstream):
    upstream.script(answer("Hel", "lo **you**"))

    done = terminal.run(piped="Hi there\n")

    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello **you**\n", "")
    question, reply = Message.objects.order_by("position")
    assert (question.content, reply.content, reply.status) == (
        "Hi there",
        "Hello **you**",
        "complete",
    )


def test_words_of_the_command_line_stand_before_what_is_piped_in(terminal, echo, upstream):
    upstream.script(answer("ok"))

    done = terminal.run("Sum", "up:", piped="  indented\nlines\n")

    assert done.returncode == 0
    assert upstream.chats[0].json["messages"][-1]["content"] == "Sum up:\n\n  indented\nlines"


def test_the_answer_appears_while_it_is_written(terminal, echo, upstream):
    gate = Wait()
    upstream.script(Reply((sse(delta("first ")), gate, sse(delta("second"), finish(), b"[DONE]"))))

    with terminal.piped("Hi") as process:
        assert read_until(process.stdout, "first ") == "first "
        gate.set()
        assert process.stdout.read() == b"second\n"
        assert process.wait(SECONDS) == 0


def test_lines_of_json_are_the_events_of_the_answer(terminal, echo, upstream):
    upstream.script(answer("Grüße ", "你好"))

    done = terminal.run("--format", "json", piped="Hi")

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert events[0]["type"] == "chat_start"
    assert {event["type"] for event in events[1:-1]} == {"chat_chunk"}
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert "".join(event["content"] for event in events[1:-1]) == "Grüße 你好"
    assert events[-1]["type"] == "chat_complete"
    assert events[-1]["message"]["usage"]["total_tokens"] == 9


def test_a_model_that_fails_is_told_on_stderr(terminal, echo, upstream):
    upstream.script(refusal(401))

    done = terminal.run("Hi")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip()
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_failure_in_json_is_the_last_line_and_told_on_stderr(terminal, echo, upstream):
    upstream.script(refusal(401))

    done = terminal.run("--format", "json", "Hi")

    end = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert (end["type"], end["code"]) == ("chat_error", "upstream_error")
    assert done.stderr.strip() == end["detail"]


def test_an_answer_that_broke_off_is_shown_and_told(terminal, echo, upstream):
    upstream.script(Reply((sse(delta("half an ans")), CUT)))

    done = terminal.run("Hi")

    assert (done.returncode, done.stdout) == (1, "half an ans\n")
    assert "broke off" in done.stderr


def test_ctrl_c_stops_the_answer_and_keeps_its_text(terminal, echo, upstream):
    upstream.script(Reply((sse(delta("so far")), HANG)))

    with terminal.piped("Hi") as process:
        read_until(process.stdout, "so far")
        process.send_signal(signal.SIGINT)

        assert process.wait(SECONDS) == 130
        assert process.stderr.read() == b""

    assert upstream.chats[0].left.wait(SECONDS)
    reply = Message.objects.get(role="assistant")
    assert (reply.status, reply.content) == ("stopped", "so far")


def test_sigterm_interrupts_the_answer_and_keeps_its_text(terminal, echo, upstream):
    upstream.script(Reply((sse(delta("so far")), HANG)))

    with terminal.piped("Hi") as process:
        read_until(process.stdout, "so far")
        process.send_signal(signal.SIGTERM)

        assert process.wait(SECONDS) == 143
        assert process.stderr.read() == b""

    reply = Message.objects.get(role="assistant")
    assert (reply.status, reply.content) == ("interrupted", "so far")


def test_a_reader_that_leaves_ends_the_answer(terminal, echo, upstream):
    gate = Wait()
    upstream.script(Reply((sse(delta("line\n")), gate, sse(delta("unread")), HANG)))

    with terminal.piped("Hi") as process:
        read_until(process.stdout, "line\n")
        process.stdout.close()
        gate.set()

        assert process.wait(SECONDS) == 141
        assert process.stderr.read() == b""

    assert Message.objects.get(role="assistant").status == "stopped"


def test_a_turn_ended_from_elsewhere_ends_the_answer(terminal, echo, upstream):
    upstream.script(Reply((sse(delta("so far")), HANG)))

    with terminal.piped("Hi") as process:
        read_until(process.stdout, "so far")
        until(lambda: Turn.objects.exclude(last_seq=0).exists(), "a checkpoint is saved")
        Turn.objects.update(stop_requested_at="2026-01-01T00:00:00Z", stop_reason="person")

        assert process.wait(SECONDS) == 130


@pytest.mark.parametrize("arguments", [[], ["--format", "xml"]])
def test_a_wrong_command_line_is_2(terminal, echo, arguments):
    done = terminal.run(*arguments, piped=b" \n")

    assert (done.returncode, done.stdout) == (2, "")
    assert "no question" in done.stderr or "--format" in done.stderr
    assert not Conversation.objects.exists()


def test_a_question_that_cannot_be_asked_is_1(terminal, echo):
    done = terminal.run(piped=b"\xff\xfe")

    assert (done.returncode, done.stdout) == (1, "")
    assert "UTF-8" in done.stderr
