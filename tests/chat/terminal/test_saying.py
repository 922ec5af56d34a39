"""The line below an answer: who answered, what it took, and what went wrong."""

from __future__ import annotations

import pytest

from chat.terminal.saying import account_of, failure_of, one_line, sources_of, visible


def message(**fields):
    usage = {
        "prompt_tokens": 1204,
        "completion_tokens": 96,
        "total_tokens": 1300,
        "cost": "0.001250",
        "estimated": False,
    }
    plain = {
        "model": "gpt-4o",
        "fallback": False,
        "usage": usage,
        "seconds": 3.21,
        "status": "complete",
        "context": {"messages_left_out": 0},
        "error": None,
        "sources": [],
    }
    return plain | fields


def test_it_names_model_tokens_cost_and_seconds():
    assert account_of(message()) == "gpt-4o · 1,204 + 96 tokens · cost 0.001250 · 3.2 s"


def test_what_costs_nothing_names_no_cost():
    usage = message()["usage"] | {"cost": "0.000000"}

    assert account_of(message(usage=usage)) == "gpt-4o · 1,204 + 96 tokens · 3.2 s"


def test_estimates_fallbacks_stops_and_gaps_are_said():
    said = account_of(
        message(
            usage=message()["usage"] | {"estimated": True},
            fallback=True,
            status="stopped",
            context={"messages_left_out": 3},
        )
    )

    assert "gpt-4o (a fallback)" in said
    assert "≈ 1,204" in said
    assert "stopped" in said
    assert "3 older messages did not fit" in said


def test_an_answer_of_which_nothing_is_known_has_its_name():
    assert account_of(message(usage=None, seconds=None, context=None)) == "gpt-4o"


def test_a_failure_is_the_provider_s_sentence():
    end = {"type": "chat_error", "detail": "The model's provider is busy."}

    assert failure_of(end) == "The model's provider is busy."


def test_an_answer_that_broke_off_says_why():
    error = {"code": "upstream_error", "detail": "The connection broke."}
    end = {"type": "chat_complete", "message": message(status="interrupted", error=error)}

    assert failure_of(end) == "The answer broke off. The connection broke."


@pytest.mark.parametrize("status", ["complete", "stopped"])
def test_what_ended_as_it_should_is_no_failure(status):
    assert failure_of({"type": "chat_complete", "message": message(status=status)}) == ""


def test_sources_are_a_line_each():
    sources = [{"n": 1, "title": "A\npage", "url": "https://example.org", "text": "…"}]

    assert sources_of(message(sources=sources)) == ["[1] A page https://example.org"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, 中文, é, 👩\u200d💻", "plain, 中文, é, 👩\u200d💻"),
        ("lines\r\nand\ttabs", "lines\nand\ttabs"),
        ("\x1b[2J", "\ufffd[2J"),
        ("\x9b\x07\x00", "\ufffd\ufffd\ufffd"),
        ("user\u202etxt.exe", "user\ufffdtxt.exe"),
    ],
)
def test_nothing_of_a_text_steers_the_terminal(text, shown):
    assert visible(text) == shown


def test_a_name_stays_on_its_line():
    assert one_line(" a\n\tb\x1b ") == "a b\ufffd"
