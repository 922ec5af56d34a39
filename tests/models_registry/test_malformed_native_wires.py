"""F10, F11, F12 for Anthropic's and DashScope's wires; OpenAI's are in test_malformed_wires.py.

Each line: the steps of a reply as the wire `w` writes them, the text that the reader has by then,
and how it ends: a `Finished`, or the kind of failure.
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
from tests.models_registry import anthropic_wire, dashscope_wire
from tests.models_registry.asking import ask_until_failure, text
from tests.models_registry.upstream import CUT, HANG, RESET, Reply
from tests.models_registry.wires import endpoint_at, spoken_at

pytestmark = pytest.mark.usefixtures("clients")

COUNTED = Finished("stop", Usage(7, 2))


def bytewise(data):
    return [bytes([each]) for each in data]


def raw(data):
    """With those characters as bytes that JSON need not escape."""
    for character in "\u2028\u0085":
        data = data.replace(b"\\u%04x" % ord(character), character.encode())
    return data


def without_end(w):
    """The finish, and nothing of what follows it."""
    if w is dashscope_wire:
        return w.last()
    return w.events(w.end())


BOTH = {
    # How a stream may be written
    "byte by byte": (lambda w: bytewise(w.hanging("Hi") + w.last()), "Hi", COUNTED),
    "CR LF line ends": (
        lambda w: [(w.hanging("Hi") + w.last()).replace(b"\n", b"\r\n")],
        "Hi",
        COUNTED,
    ),
    "CR line ends": (
        lambda w: [(w.hanging("Hi") + w.last()).replace(b"\n", b"\r")],
        "Hi",
        COUNTED,
    ),
    "a byte order mark first": (
        lambda w: [b"\xef\xbb\xbf" + w.hanging("Hi"), w.last()],
        "Hi",
        COUNTED,
    ),
    "comments between": (
        lambda w: [b": ping\n\n", w.hanging("Hi"), b":\n\n", w.last()],
        "Hi",
        COUNTED,
    ),
    "no blank line at the end": (lambda w: [w.hanging("Hi") + w.last().rstrip()], "Hi", COUNTED),
    "line ends of Unicode": (
        lambda w: [raw(w.hanging("a\u2028b\u0085c\u001cd")), w.last()],
        "a\u2028b\u0085c\u001cd",
        COUNTED,
    ),
    "an emoji in halves": (
        lambda w: [w.hanging("\ud83d"), _more(w, "\ude00"), w.last()],
        "\U0001f600",
        COUNTED,
    ),
    # Ends
    "a finish, then silence": (lambda w: [w.hanging("Hi"), without_end(w), HANG], "Hi", COUNTED),
    "a finish, then a cut": (lambda w: [w.hanging("Hi"), without_end(w), CUT], "Hi", COUNTED),
    "a finish, then a reset": (lambda w: [w.hanging("Hi"), without_end(w), RESET], "Hi", COUNTED),
    "a last word and no finish": (lambda w: [w.hanging("Hi"), b"data: [DONE]\n\n"], "Hi", None),
    "two finishes": (
        lambda w: [w.hanging("Hi") + without_end(w) + w.last(completion=2)],
        "Hi",
        COUNTED,
    ),
    "a bare end after text": (lambda w: [w.hanging("Hi")], "Hi", ProviderCut),
    "a cut after text": (lambda w: [w.hanging("Hi"), CUT], "Hi", ProviderCut),
    "a reset after text": (lambda w: [w.hanging("Hi"), RESET], "Hi", ProviderCut),
    "a cut inside an event": (
        lambda w: [w.hanging("Hi"), _more(w, "x")[:-20] + b"\xf0\x9f", CUT],
        "Hi",
        ProviderCut,
    ),
    "a bare end inside an event": (
        lambda w: [w.hanging("Hi"), _more(w, "x")[:-20]],
        "Hi",
        ProviderCut,
    ),
    "a bare end in the middle of a character": (
        lambda w: [w.hanging("Hi"), _more(w, "x")[:-20] + b"\xf0\x9f"],
        "Hi",
        ProviderCut,
    ),
    "a bare end after half a character": (
        lambda w: [w.hanging("Hi"), _more(w, "!\ud83d")],
        "Hi!",
        ProviderCut,
    ),
    "a finish, then a bare end inside an event": (
        lambda w: [w.hanging("Hi"), without_end(w), _more(w, "x")[:-20]],
        "Hi",
        COUNTED,
    ),
    "nothing at all": (lambda _w: [], "", ProviderCut),
    "only comments": (lambda _w: [b": ping\n\n" * 3], "", ProviderCut),
    "[DONE] only": (lambda _w: [b"data: [DONE]\n\n"], "", ProviderGarbled),
    # Errors inside a 200
    "an error first": (lambda w: [w.failing()], "", ProviderFailed),
    "an error after text": (lambda w: [w.hanging("Hi"), w.failing()], "Hi", ProviderFailed),
    "an error in the same write": (lambda w: [w.hanging("Hi") + w.failing()], "Hi", ProviderFailed),
    "an error as the body": (
        lambda w: [json.dumps(w.error()).encode()],
        "",
        ProviderFailed,
    ),
    # Not the protocol
    "HTML": (lambda _w: [b"<!doctype html><p>Hello"], "", ProviderGarbled),
    "JSON of something else": (lambda _w: [b'{"detail": "Not Found"}'], "", ProviderGarbled),
    "JSON that is no object": (lambda _w: [b"[1, 2]"], "", ProviderGarbled),
    "JSON cut short": (lambda _w: [b'{"output": ['], "", ProviderGarbled),
    "data that is no JSON": (
        lambda w: [w.hanging("Hi"), b"data: {oops\n\n"],
        "Hi",
        ProviderGarbled,
    ),
    "data that is no object": (
        lambda w: [w.hanging("Hi"), b"data: [1]\n\n"],
        "Hi",
        ProviderGarbled,
    ),
    "data nested without end": (
        lambda w: [w.hanging("Hi"), b"data: " + b"[" * 100_000 + b"\n\n"],
        "Hi",
        ProviderGarbled,
    ),
    "plain words": (lambda _w: [b"hello there\n"], "", ProviderCut),
}

WORDS = {
    "anthropic": [
        ("overloaded_error", ProviderFailed),
        ("rate_limit_error", ProviderBusy),
        ("invalid_request_error", ProviderRefused),
        ("authentication_error", ProviderRefused),
        ("something_new", ProviderFailed),
    ],
    "dashscope": [
        ("Throttling.RateQuota", ProviderBusy),
        ("InvalidApiKey", ProviderRefused),
        ("Arrearage", ProviderRefused),
        ("DataInspectionFailed", ProviderRefused),
        ("SystemError", ProviderFailed),
    ],
}

# What may be too large: the setting, and what is sent again and again after "Hi".
LIMITED = {
    "a line without an end": ("PROVIDER_LINE_BYTES", lambda _w: b"data: " + b"x" * 3_000),
    "text": ("PROVIDER_TEXT_BYTES", lambda w: _more(w, "汉" * 100)),
    "reasoning": ("PROVIDER_REASONING_BYTES", lambda w: _thought(w, "x" * 300)),
    "arguments": ("PROVIDER_ARGUMENT_BYTES", lambda w: _call(w, "x" * 300)),
}


def _more(w, words):
    return w.events(w.delta(words))


def _thought(w, words):
    fields = {"reasoning_content": words} if w is dashscope_wire else {"thinking": words}
    return w.events(w.delta(**fields))


def _call(w, arguments):
    if w is anthropic_wire:
        return w.events(w.delta(partial_json=arguments))
    call = {"index": 0, "id": "c", "function": {"name": "x", "arguments": arguments}}
    return w.events(w.delta(tool_calls=[call]))


@pytest.fixture(params=["anthropic", "dashscope"])
def provider(request):
    return request.param


@pytest.fixture
def wire(upstream, provider):
    return spoken_at(upstream, provider)


@pytest.fixture
def endpoint(upstream, provider):
    return endpoint_at(upstream, provider)


@pytest.fixture(autouse=True)
def _not_patient(monkeypatch):
    monkeypatch.setattr(streaming, "AFTER_FINISH_SECONDS", 0.2)


@pytest.mark.row("F11", "F12")
@pytest.mark.parametrize("name", BOTH)
async def test_wire(name, upstream, wire, endpoint):
    """F11, F12"""
    steps, said, end = BOTH[name]
    upstream.script(Reply(steps(wire)))

    events, failure = await ask_until_failure(endpoint)

    assert text(events) == said
    if isinstance(end, type):
        assert type(failure) is end
        assert not any(isinstance(event, Finished) for event in events)
    else:
        assert failure is None
        assert sum(isinstance(event, Finished) for event in events) == 1
        assert events[-1].reason == "stop"
        assert end is None or events[-1] == end


@pytest.mark.row("F12")
@pytest.mark.parametrize("number", range(5))
async def test_what_an_error_inside_a_200_means(number, upstream, wire, endpoint, provider):
    """F12, F14: which of them may be tried again"""
    word, kind = WORDS[provider][number]
    upstream.script(Reply((wire.hanging("Hi"), wire.failing(word))))

    events, failure = await ask_until_failure(endpoint)

    assert (text(events), type(failure)) == ("Hi", kind)


@pytest.mark.row("F10")
@pytest.mark.parametrize("name", LIMITED)
async def test_too_much_of(name, upstream, wire, endpoint, settings):
    """F10: the text so far is kept, the connection closed."""
    limit, piece = LIMITED[name]
    setattr(settings, limit, 1_000)
    upstream.script(Reply((wire.hanging("Hi"), *[piece(wire)] * 10, HANG)))

    events, failure = await ask_until_failure(endpoint)

    assert type(failure) is ProviderOverflow
    assert text(events).startswith("Hi")
    assert await upstream.chats[0].was_left()


@pytest.mark.row("F10")
async def test_the_arguments_below_the_cap_are_kept(upstream, wire, endpoint, settings):
    """F10"""
    settings.PROVIDER_ARGUMENT_BYTES = 1_003
    upstream.script(Reply((wire.hanging("Hi"), *[_call(wire, "é" * 300)] * 3)))

    events, failure = await ask_until_failure(endpoint)

    said = [event.arguments for event in events if isinstance(event, ToolCallDelta)]
    assert said == ["é" * 300, "é" * 201]
    assert type(failure) is ProviderOverflow
