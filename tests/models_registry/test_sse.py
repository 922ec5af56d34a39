"""F11: bytes in, events out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry.providers.sse import EventSplitter, ServerEvent


def split(*chunks, max_bytes=1_000):
    splitter = EventSplitter(max_bytes=max_bytes)
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events + splitter.close()


def data(*texts):
    return [ServerEvent(b"", text) for text in texts]


@pytest.mark.row("F11")
@pytest.mark.parametrize(
    ("wire", "events"),
    [
        (b"data: a\n\ndata: b\n\n", data(b"a", b"b")),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", data(b"a", b"b")),
        (b"data: a\r\rdata: b\r\r", data(b"a", b"b")),
        (b"data:a\n\n", data(b"a")),
        (b"data:  a\n\n", data(b" a")),
        (b"data: a\ndata: b\n\n", data(b"a\nb")),
        (b"data: a", data(b"a")),
        (b"data: a\n", data(b"a")),
        (b"data\n\n", []),
        (b"\n\n\n", []),
        (b"", []),
        (b": comment\n\ndata: a\n\n", data(b"a")),
        (b"\xef\xbb\xbfdata: a\n\n", data(b"a")),
        (b"id: 1\nretry: 5\nodd: x\ndata: a\n\n", data(b"a")),
        (b"event: error\ndata: a\n\ndata: b\n\n", [ServerEvent(b"error", b"a"), *data(b"b")]),
        (b"event: ping\n\ndata: a\n\n", data(b"a")),
        (
            "data: a\u2028b\u0085c\x1c\x0bd\x0c\n\n".encode(),
            data("a\u2028b\u0085c\x1c\x0bd\x0c".encode()),
        ),
    ],
)
def test_forms(wire, events):
    assert split(wire) == events


@pytest.mark.row("F11")
@given(
    texts=st.lists(
        st.binary(max_size=20).filter(lambda raw: not set(raw) & set(b"\r\n")), max_size=5
    ),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=st.lists(st.integers(min_value=1, max_value=7), min_size=1, max_size=20),
)
def test_wherever_the_network_cuts_the_events_are_the_same(texts, end, cuts):
    wire = b"".join(b"data: " + text + end * 2 for text in texts)
    chunks: list[bytes] = []
    at = 0
    while at < len(wire):
        size = cuts[len(chunks) % len(cuts)]
        chunks.append(wire[at : at + size])
        at += size

    assert split(*chunks) == data(*texts)


@pytest.mark.row("F10")
@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * 100],
        [b"x" * 40] * 3,
        [b"data: " + b"x" * 40 + b"\n"] * 3,
    ],
    ids=["a line", "a line in pieces", "an event"],
)
def test_too_long_is_told_and_what_came_before_is_not_lost(chunks):
    """F10"""
    splitter = EventSplitter(max_bytes=90)

    events = splitter.feed(b"data: ok\n\n" + chunks[0])
    for chunk in chunks[1:]:
        events += splitter.feed(chunk)

    assert events == data(b"ok")
    assert splitter.overflowed
