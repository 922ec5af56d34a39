"""In a terminal the command talks: answers appear as they are written, slashes are commands."""

from __future__ import annotations

import signal
import stat

import pytest

from chat.models import Conversation, Message, Turn
from tests.chat.terminal.conftest import make_model
from tests.chat.terminal.running import ALT_ENTER, CTRL_C, CTRL_D, ENTER, SECONDS, UP
from tests.e2e.conftest import once
from tests.models_registry.upstream import HANG, Reply, Wait, answer, delta, finish, refusal, sse
from tests.waiting import until

pytestmark = once


def test_a_talk_from_the_greeting_to_the_leave(terminal, echo, upstream):
    upstream.script(answer("Some **bold** words.", prompt=12, completion=5))

    with terminal.talking() as tty:
        tty.expect("ada")
        tty.expect("Model: echo")
        tty.expect_prompt()
        tty.ask("Hi there")
        tty.expect("Some bold words.")
        tty.expect("echo · 12 + 5 tokens · cost 0.000054 · ")
        tty.expect_prompt()
        tty.type(CTRL_D)

        conversation = Conversation.objects.get()
        tty.expect(f"--conversation {conversation.pk}")
        assert tty.exit_code() == 0
        assert tty.echoes

    history = next((terminal.data_dir / "terminal").iterdir())
    assert "Hi there" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700


def test_ctrl_c_stops_an_answer_and_leaves_at_the_prompt(terminal, echo, upstream):
    upstream.script(Reply((sse(delta("so far and no further")), HANG)))

    with terminal.talking() as tty:
        tty.expect_prompt()
        tty.ask("Hi")
        tty.expect("so far and no further")
        tty.type(CTRL_C)
        tty.expect("stopped, the text is kept")
        tty.expect_prompt()
        assert upstream.chats[0].left.wait(SECONDS)
        reply = Message.objects.get(role="assistant")
        assert (reply.status, reply.content) == ("stopped", "so far and no further")

        tty.type("half a line")
        tty.expect("half a line")
        tty.type(CTRL_C)
        assert tty.process.poll() is None
        tty.type(CTRL_C)
        assert tty.exit_code() == 0


def test_what_is_typed_during_an_answer_is_asked_after_it(terminal, echo, upstream):
    gate = Wait()
    upstream.script(
        Reply((sse(delta("first ")), gate, sse(delta("answer"), finish(), b"[DONE]"))),
        answer("second answer"),
    )

    with terminal.talking() as tty:
        tty.expect_prompt()
        tty.ask("One")
        tty.expect("first")
        tty.ask("Two")
        gate.set()
        tty.expect("first answer")
        tty.expect("> Two")
        tty.expect("second answer")
        tty.expect_prompt()


def test_an_answer_appears_while_it_is_written(terminal, echo, upstream):
    gate = Wait()
    upstream.script(
        Reply((sse(delta("First part. ")), gate, sse(delta("Second."), finish(), b"[DONE]")))
    )

    with terminal.talking() as tty:
        tty.expect_prompt()
        tty.ask("Hi")
        tty.expect("First part.")
        tty.expect("Ctrl-C stops")
        gate.set()
        tty.expect("First part. Second.")
        tty.expect_prompt()


def test_several_lines_are_one_question(terminal, echo, upstream):
    upstream.script(answer("ok"))

    with terminal.talking() as tty:
        tty.expect_prompt()
        tty.type(f"one{ALT_ENTER}two\nthree\x1b[200~\rpasted\rlines\x1b[201~{ENTER}")
        tty.expect("ok")
        tty.expect_prompt()

    assert upstream.chats[0].json["messages"] == [
        {"role": "user", "content": "one\ntwo\nthree\npasted\nlines"}
    ]


def test_what_was_asked_in_an_earlier_talk_is_remembered(terminal, echo, upstream):
    upstream.script(answer("ok"))

    for _talk in range(2):
        with terminal.talking() as tty:
            tty.expect_prompt()
            if upstream.chats:
                tty.type(UP)
                tty.expect("remember me")
                tty.type(ENTER)
            else:
                tty.ask("remember me")
            tty.expect("ok")
            tty.expect_prompt()

    assert [chat.json["messages"][-1]["content"] for chat in upstream.chats] == ["remember me"] * 2


def test_slash_commands(terminal, echo, ada, upstream):
    make_model("other", upstream)
    upstream.script(answer("the answer"))

    with terminal.talking() as tty:
        tty.expect_prompt()
        tty.ask("/title Too soon")
        tty.expect("Ask something first")
        tty.ask("/nonsense")
        tty.expect("no command /nonsense")
        tty.ask("/open")
        tty.expect("Use: /open NUMBER|ID|last")
        tty.ask("/help")
        tty.expect("Ctrl-X Ctrl-E")
        tty.ask("/models")
        tty.expect("other server")
        tty.ask("/model nope")
        tty.expect("no model nope")
        tty.ask("/model other")
        tty.expect("Model: other")
        tty.ask("/system Be brief.")
        tty.expect("The next answers follow it.")
        tty.ask("//etc is a folder")
        tty.expect("the answer")
        tty.ask("/title Folders")
        tty.expect("this title now")
        tty.ask("/retry echo")
        tty.expect("the answer")
        tty.ask("/new")
        tty.expect("A new conversation.")
        tty.ask("/etc/passwd is a file")
        tty.expect("the answer")
        tty.ask("/conversations")
        tty.expect("/etc/passwd is a file")
        tty.expect("Folders")
        tty.ask("/open 9")
        tty.expect("no such number")
        tty.ask("/open 2")
        tty.expect("> /etc is a folder")
        tty.expect("the answer")
        tty.ask("/quit")
        assert tty.exit_code() == 0

    asked = [(chat.json["model"], chat.json["messages"]) for chat in upstream.chats]
    brief = {"role": "system", "content": "Be brief."}
    folder = {"role": "user", "content": "/etc is a folder"}
    assert asked[0] == ("other", [brief, folder])
    assert asked[1] == ("echo", [brief, folder])
    assert asked[2][1] == [{"role": "user", "content": "/etc/passwd is a file"}]
    assert set(Conversation.objects.values_list("title", flat=True)) == {"Folders", ""}


def test_a_model_that_fails_is_told_and_the_talk_goes_on(terminal, echo, upstream):
    upstream.script(refusal(401), answer("better now"))

    with terminal.talking() as tty:
        tty.expect_prompt()
        tty.ask("Hi")
        tty.expect("/retry asks again")
        tty.expect_prompt()
        assert "Traceback" not in tty.screen
        tty.ask("/retry")
        tty.expect("better now")
        tty.expect_prompt()


def test_the_built_in_model_says_what_it_is(terminal, ada):
    with terminal.talking() as tty:
        tty.expect("Model: offline")
        tty.expect("no AI")
        tty.expect("connection add")
        tty.expect_prompt()


def test_a_conversation_that_is_being_answered_elsewhere_is_followed(terminal, echo, upstream):
    gate = Wait()
    upstream.script(
        Reply((sse(delta("begun there")), gate, sse(delta(", ended here"), finish(), b"[DONE]")))
    )

    with terminal.piped("Hi") as elsewhere:
        until(lambda: Turn.objects.filter(last_seq__gt=0), "a checkpoint", seconds=SECONDS)
        with terminal.talking("--conversation", "last") as tty:
            tty.expect("> Hi")
            tty.expect("begun there")
            gate.set()
            tty.expect("begun there, ended here")
            tty.expect_prompt()
            assert elsewhere.wait(SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_prompt_leaves_the_terminal_as_it_was(terminal, echo, number):
    with terminal.talking() as tty:
        tty.expect_prompt()
        tty.process.send_signal(number)

        assert tty.exit_code() == 128 + number
        assert tty.echoes
        assert "Traceback" not in tty.screen


def test_sigterm_during_an_answer_keeps_the_text_and_the_terminal(terminal, echo, upstream):
    upstream.script(Reply((sse(delta("so far and no further")), HANG)))

    with terminal.talking() as tty:
        tty.expect_prompt()
        tty.ask("Hi")
        tty.expect("so far and no further")
        tty.process.send_signal(signal.SIGTERM)

        assert tty.exit_code() == 128 + signal.SIGTERM
        assert tty.echoes
        assert "Traceback" not in tty.screen
    reply = Message.objects.get(role="assistant")
    assert (reply.status, reply.content) == ("interrupted", "so far and no further")


def test_a_terminal_that_knows_nothing_gets_plain_text(terminal, echo, upstream):
    upstream.script(answer("Some **bold** words."))

    with terminal.talking(TERM="dumb") as tty:
        tty.expect(">")
        tty.ask("Hi")
        tty.expect("Some **bold** words.")
        tty.expect("tokens")
        tty.type(CTRL_D)
        until(lambda: tty.process.poll() is not None, "it left")
