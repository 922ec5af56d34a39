"""F11, F12: what comes instead of an answer, and what becomes of it.

`text` is what the reader has by then, `end` how it ends: a `Finished`, or the kind of failure.
"""

import json

import pytest

from models_registry.errors import (
    ProviderBusy,
    ProviderCut,
    ProviderFailed,
    ProviderGarbled,
    ProviderOverflow,
    ProviderRefused,
)
from models_registry.providers import streaming
from models_registry.providers.base import Finished, ToolCallDelta, Usage
from tests.models_registry.asking import ask_until_failure, reasoning, text
from tests.models_registry.upstream import (
    CUT,
    DONE,
    HANG,
    RESET,
    Reply,
    delta,
    finish,
    sse,
    usage,
)

pytestmark = pytest.mark.usefixtures("clients")

HI = sse(delta("Hi"))
COMPLETE = Finished("stop", None)
COUNTED = Finished("stop", Usage(7, 2))
ERROR = {"error": {"message": "boom", "type": "server_error", "code": None}}
WHOLE = {"choices": [{"message": {"content": "Hi"}, "finish_reason": None}]}


def plain(*steps, kind="text/event-stream"):
    return Reply(steps, content_type=kind)


def as_json(body):
    return plain(json.dumps(body).encode(), kind="application/json")


WIRES = {
    # How a stream may be written
    "CR LF line ends": (plain(sse(delta("Hi"), finish(), DONE, end=b"\r\n\r\n")), "Hi", COMPLETE),
    "CR line ends": (plain(sse(delta("Hi"), finish(), DONE, end=b"\r\r")), "Hi", COMPLETE),
    "CR LF over two reads": (
        plain(sse(delta("Hi"), end=b"\r"), b"\n\r", b"\n", sse(finish(), DONE)),
        "Hi",
        COMPLETE,
    ),
    "a byte order mark first": (plain(b"\xef\xbb\xbf" + HI, sse(finish(), DONE)), "Hi", COMPLETE),
    "comments between": (plain(b": ping\n\n", HI, b":\n\n", sse(finish(), DONE)), "Hi", COMPLETE),
    "several data lines in one event": (
        plain(b'data: {"choices":\ndata: [{"delta":{"content":"Hi"}}]}\n\n', sse(finish(), DONE)),
        "Hi",
        COMPLETE,
    ),
    "no space after data": (
        plain(
            b'data:{"choices":[{"delta":{"content":"Hi"}}]}\n\n', sse(finish()), b"data:[DONE]\n\n"
        ),
        "Hi",
        COMPLETE,
    ),
    "no blank line at the end": (plain(HI, sse(finish()), b"data: [DONE]"), "Hi", COMPLETE),
    "no blank lines at all": (
        plain(sse(delta("Hi"), finish(), DONE, end=b"\n")),
        "Hi",
        COMPLETE,
    ),
    "byte by byte": (
        plain(*(bytes([each]) for each in HI + sse(finish(), DONE))),
        "Hi",
        COMPLETE,
    ),
    "other fields": (
        plain(b"id: 1\nretry: 5\nevent: message\n" + HI, sse(finish(), DONE)),
        "Hi",
        COMPLETE,
    ),
    "the wrong type": (plain(HI, sse(finish(), DONE), kind="text/plain"), "Hi", COMPLETE),
    "no type": (plain(HI, sse(finish(), DONE), kind=""), "Hi", COMPLETE),
    # Ends
    "a finish and no [DONE]": (plain(HI, sse(finish(), usage())), "Hi", COUNTED),
    "[DONE] and no finish": (plain(HI, sse(DONE)), "Hi", COMPLETE),
    "text after [DONE]": (plain(HI, sse(finish(), DONE, delta("!"))), "Hi", COMPLETE),
    "two finishes": (plain(HI, sse(finish(), finish("length"), DONE)), "Hi", COMPLETE),
    "text after the finish": (plain(sse(finish()), HI, sse(DONE)), "Hi", COMPLETE),
    "a finish, then silence": (plain(HI, sse(finish()), HANG), "Hi", COMPLETE),
    "a finish, then a cut": (plain(HI, sse(finish()), CUT), "Hi", COMPLETE),
    "a finish, then a reset": (plain(HI, sse(finish()), RESET), "Hi", COMPLETE),
    "a finish, then a bare end inside an event": (
        plain(HI, sse(finish()), sse(usage())[:-9]),
        "Hi",
        COMPLETE,
    ),
    "a finish and nothing said": (
        plain(sse(finish(), usage(7, 0), DONE)),
        "",
        Finished("stop", Usage(7, 0)),
    ),
    "a bare end after text": (plain(HI), "Hi", ProviderCut),
    "a cut after text": (plain(HI, CUT), "Hi", ProviderCut),
    "a reset after text": (plain(HI, RESET), "Hi", ProviderCut),
    "a cut in the middle of a character": (
        plain(HI, sse(delta("x"), end=b"")[:-9] + b"\xf0\x9f", CUT),
        "Hi",
        ProviderCut,
    ),
    "a bare end inside an event": (plain(HI, sse(delta("x"))[:-9]), "Hi", ProviderCut),
    "a bare end inside the second of two lines": (
        plain(HI, sse(delta("!"), end=b"\n") + sse(delta("x"))[:-9]),
        "Hi!",
        ProviderCut,
    ),
    "a bare end in the middle of a character": (
        plain(HI, sse(b'{"choices": [{"delta": {"content": "x\xf0\x9f', end=b"")),
        "Hi",
        ProviderCut,
    ),
    "a bare end after half a character": (
        plain(HI, sse(b'{"choices": [{"delta": {"content": "!\xf0\x9f"}}]}')),
        "Hi!",
        ProviderCut,
    ),
    "a bare end inside the first event": (plain(sse(delta("x"))[:-9]), "", ProviderCut),
    "nothing at all": (plain(), "", ProviderCut),
    "only comments": (plain(b": ping\n\n" * 3), "", ProviderCut),
    "[DONE] only": (plain(sse(DONE)), "", ProviderGarbled),
    "a bare end after a tool call": (
        plain(sse(delta(None, tool_calls=[{"index": 0, "function": {"name": "x"}}]))),
        "",
        ProviderCut,
    ),
    # Errors inside a 200
    "an error as the body": (as_json(ERROR), "", ProviderFailed),
    "an error event first": (plain(sse(ERROR)), "", ProviderFailed),
    "an error event after text": (plain(HI, sse(ERROR, DONE)), "Hi", ProviderFailed),
    "an error event of its own type": (
        plain(HI, b"event: error\n" + sse(ERROR)),
        "Hi",
        ProviderFailed,
    ),
    "an error as text": (plain(sse({"error": "boom"})), "", ProviderFailed),
    "an error that is a rate limit": (
        plain(sse({"error": {"type": "rate_limit_error"}})),
        "",
        ProviderBusy,
    ),
    "an error with a status": (plain(sse({"error": {"code": "429"}})), "", ProviderBusy),
    "an error that blames us": (plain(sse({"error": {"code": 400}})), "", ProviderRefused),
    # Not the protocol
    "HTML": (plain(b"<!doctype html><p>Hello", kind="text/html"), "", ProviderGarbled),
    "a whole answer without an end": (as_json(WHOLE), "Hi", COMPLETE),
    "JSON of something else": (as_json({"detail": "Not Found"}), "", ProviderGarbled),
    "JSON that is no object": (as_json([1, 2]), "", ProviderGarbled),
    "JSON cut short": (plain(b'{"choices": [', kind="application/json"), "", ProviderGarbled),
    "data that is no JSON": (plain(HI, b"data: {oops\n\n"), "Hi", ProviderGarbled),
    "data that is no object": (plain(HI, sse([1])), "Hi", ProviderGarbled),
    "data nested without end": (
        plain(HI, b"data: " + b"[" * 100_000 + b"\n\n"),
        "Hi",
        ProviderGarbled,
    ),
    "plain words": (plain(b"hello there\n"), "", ProviderCut),
    "choices of the wrong kind": (
        plain(sse({"choices": 7}, {"choices": [7]}, {"choices": [{"delta": "x"}]}), HI, sse(DONE)),
        "Hi",
        COMPLETE,
    ),
}


@pytest.fixture(autouse=True)
def _not_patient(monkeypatch):
    monkeypatch.setattr(streaming, "AFTER_FINISH_SECONDS", 0.2)


@pytest.mark.row("F11", "F12")
@pytest.mark.parametrize("name", WIRES)
async def test_wire(name, upstream, endpoint):
    reply, said, end = WIRES[name]
    upstream.script(reply)

    events, failure = await ask_until_failure(endpoint)

    assert text(events) == said
    if isinstance(end, Finished):
        assert failure is None
        assert events[-1] == end
        assert sum(isinstance(event, Finished) for event in events) == 1
    else:
        assert type(failure) is end
        assert not any(isinstance(event, Finished) for event in events)


LIMITED = {
    "a line without an end": (
        "PROVIDER_LINE_BYTES",
        plain(HI, b"data: " + b"x" * 3_000, HANG),
    ),
    "an event of endless lines": (
        "PROVIDER_LINE_BYTES",
        plain(HI, *[b"data: " + b"x" * 300 + b"\n"] * 10, HANG),
    ),
    "a body that is not a stream": ("PROVIDER_LINE_BYTES", plain(b"{" + b" " * 3_000, HANG)),
    "text": ("PROVIDER_TEXT_BYTES", plain(HI, *[sse(delta("汉" * 100))] * 10, HANG)),
    "reasoning": (
        "PROVIDER_REASONING_BYTES",
        plain(HI, *[sse(delta(None, reasoning="x" * 300))] * 10, HANG),
    ),
    "tool calls": (
        "PROVIDER_TOOL_CALLS",
        plain(
            HI,
            *[
                sse(delta(None, tool_calls=[{"index": n, "id": str(n), "function": {"name": "x"}}]))
                for n in range(1_002)
            ],
            HANG,
        ),
    ),
    "arguments": (
        "PROVIDER_ARGUMENT_BYTES",
        plain(
            HI,
            *[sse(delta(None, tool_calls=[{"index": 0, "function": {"arguments": "x" * 300}}]))]
            * 10,
            HANG,
        ),
    ),
}


@pytest.mark.row("F10")
@pytest.mark.parametrize("name", LIMITED)
async def test_too_much_of(name, upstream, endpoint, settings):
    """F10: the text so far is kept, the connection closed."""
    limit, reply = LIMITED[name]
    setattr(settings, limit, 1_000)
    upstream.script(reply)

    events, failure = await ask_until_failure(endpoint)

    assert type(failure) is ProviderOverflow
    assert text(events).startswith("" if "body" in name else "Hi")
    assert await upstream.chats[0].was_left()


@pytest.mark.row("F10")
async def test_what_fits_of_the_piece_that_is_too_much_is_kept(upstream, endpoint, settings):
    """F10: text and thoughts to the last whole character."""
    settings.PROVIDER_TEXT_BYTES, settings.PROVIDER_REASONING_BYTES = 10, 7
    for piece, said, thought in [
        (delta("汉" * 100), "Hi汉汉", ""),
        (delta(None, reasoning="é" * 100), "Hi", "ééé"),
    ]:
        upstream.script(plain(HI, sse(piece), HANG))

        events, failure = await ask_until_failure(endpoint)

        assert (text(events), reasoning(events)) == (said, thought)
        assert type(failure) is ProviderOverflow


@pytest.mark.row("F10")
async def test_the_calls_below_the_cap_are_kept(upstream, endpoint):
    """F10: also where all of them come in one piece."""
    calls = [
        {"index": n, "id": f"c{n}", "function": {"name": "look", "arguments": "{}"}}
        for n in range(70)
    ]
    upstream.script(plain(sse(delta(None, tool_calls=calls)), HANG))

    events, failure = await ask_until_failure(endpoint)

    assert events == [ToolCallDelta(n, f"c{n}", "look", "{}") for n in range(64)]
    assert type(failure) is ProviderOverflow


@pytest.mark.row("F10")
async def test_the_arguments_below_the_cap_are_kept(upstream, endpoint, settings):
    """F10"""
    settings.PROVIDER_ARGUMENT_BYTES = 1_003
    call = {"index": 0, "id": "c", "function": {"name": "look", "arguments": "é" * 300}}
    upstream.script(plain(sse(delta(None, tool_calls=[call])), sse(delta(None, tool_calls=[call]))))

    events, failure = await ask_until_failure(endpoint)

    assert [event.arguments for event in events] == ["é" * 300, "é" * 201]
    assert type(failure) is ProviderOverflow
