"""Server-Sent Events (WHATWG HTML, section 9.2): one event, one write."""

from __future__ import annotations

import orjson

MEDIA_TYPE = "text/event-stream"
COMMENT = b": keep-alive\n\n"

# JSON escapes \r and \n; these two end a line for some readers although the format says no.
_LINE_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def dump_line(data: object) -> bytes:
    """`data` as one line of JSON, without U+2028, U+2029.

    Lines are kept by the hundred. orjson's own bytes hold all of the buffer they were written in,
    4 KiB for forty characters (seen: 400 KiB for each ended turn), so what leaves here is a copy.
    """
    line = orjson.dumps(data, default=str)
    if b"\xe2\x80" in line:
        for raw, escaped in _LINE_SEPARATORS:
            line = line.replace(raw, escaped)
    return bytes(memoryview(line))


def encode(event: str, event_id: str, data: bytes) -> bytes:
    """One event; `data` is a line from `dump_line`."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event.encode(), event_id.encode(), data)
