"""Server-Sent Events from a provider: bytes in, events out (SECURITY F11).

Lines end at CR, LF or CRLF bytes and nowhere else: `splitlines()` and the clients' own line
iterators also cut at U+2028, U+0085 and U+001C, which are text here.
"""

from __future__ import annotations

from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_COLON = 0x3A


class ServerEvent(NamedTuple):
    event: bytes
    data: bytes


class EventSplitter:
    """Feed it what the network read; it answers with the events that are complete.

    `overflowed` says that a line, or all data of one event, was longer than `max_bytes`; nothing
    after that is kept, and what came before it is not lost.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self.overflowed = False
        self._max_bytes = max_bytes
        # An unfinished line in pieces: joining it at every read would be quadratic.
        self._pieces: list[bytes] = []
        self._piece_bytes = 0
        self._event = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._begun = False
        self._skip_line_feed = False

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        if self._skip_line_feed and chunk:
            self._skip_line_feed = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._skip_line_feed = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        if self._pieces:
            chunk = b"".join([*self._pieces, chunk])
            self._pieces.clear()
            self._piece_bytes = 0
        lines = chunk.split(b"\n")
        rest = lines.pop()
        events = self._take(lines)
        if rest:
            self._keep(rest)
        return events

    def close(self) -> list[ServerEvent]:
        """The last event, if the server left out its blank line."""
        lines = [b"".join(self._pieces), b""]
        self._pieces.clear()
        return self._take(lines)

    def _keep(self, piece: bytes) -> None:
        self._piece_bytes += len(piece)
        if self._piece_bytes > self._max_bytes:
            self._overflow()
        elif piece:
            self._pieces.append(piece)

    def _overflow(self) -> None:
        self.overflowed = True
        self._pieces.clear()
        self._data.clear()

    def _take(self, lines: list[bytes]) -> list[ServerEvent]:
        if not self._begun and lines:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        events: list[ServerEvent] = []
        for line in lines:
            if self.overflowed:
                break
            if not line:
                if self._data:
                    events.append(ServerEvent(self._event, b"\n".join(self._data)))
                self._event, self._data, self._data_bytes = b"", [], 0
            elif line.startswith(b"data:"):
                self._add(line[5:])
            elif line[0] != _COLON and line.startswith(b"event:"):
                self._event = line[6:].removeprefix(b" ")
        return events

    def _add(self, value: bytes) -> None:
        value = value.removeprefix(b" ")
        self._data_bytes += len(value)
        if self._data_bytes > self._max_bytes:
            self._overflow()
        else:
            self._data.append(value)
