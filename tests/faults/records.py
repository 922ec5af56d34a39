"""What every client received, kept by the client itself, and held against the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any
from uuid import uuid4

import aiohttp

from tests.e2e.person import API, Person, events
from tests.events import text_of
from tests.server import Answer, Server
from tests.waiting import until

ENDS = {"chat_complete", "chat_error"}
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=60)


class Reader:
    """One client of one turn: what it said, and each event that reached it.

    `cut` where the stream ended without the turn's end, `refused` where it never began.
    """

    def __init__(self, person: Person, conversation: str, *, at: Server | None = None) -> None:
        self.person, self.conversation = person, conversation
        self.server = at or person.server
        self.said = f"Count, {uuid4().hex}."
        self.asked = False
        self.events: list[dict[str, Any]] = []
        self.refused: Answer | None = None
        self.cut = ""

    @property
    def message(self) -> str:
        return str(self.events[0]["message_id"])

    @property
    def text(self) -> str:
        return text_of(self.events)

    @property
    def end(self) -> dict[str, Any] | None:
        last = self.events[-1] if self.events else {"type": ""}
        return last if last["type"] in ENDS else None

    async def ask(self) -> Reader:
        """Send the message, and read its answer to the end or as far as it comes."""
        self.asked = True
        path = f"conversations/{self.conversation}/messages/stream"
        await self._read("POST", path, {"content": self.said})
        return self

    async def join(self, asking: Reader) -> Reader:
        """Read what another one asked for, from its beginning."""
        await self._read("GET", f"messages/{asking.message}/stream")
        return self

    async def go_on(self, *, at: Server) -> Reader:
        """Come back after a cut, with the number of the last event."""
        self.server, self.cut = at, ""
        await self._read("GET", f"messages/{self.message}/stream?after={self.events[-1]['seq']}")
        return self

    async def _read(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        url = self.server.url + API + path
        async with aiohttp.ClientSession(timeout=_PATIENCE, headers=self.person.headers) as session:
            try:
                async with session.request(method, url, json=body) as answer:
                    if answer.status != 200:
                        headers = {name.lower(): text for name, text in answer.headers.items()}
                        self.refused = Answer(answer.status, headers, await answer.read())
                        return
                    async for event in events(answer):
                        self.events.append(event)
            except (aiohttp.ClientError, OSError, TimeoutError, AssertionError) as error:
                self.cut = repr(error)
            else:
                self.cut = "" if self.end else "the stream ended"


async def all_began(readers: Iterable[Reader], *, chunks: int = 1) -> None:
    """Wait until each has read the beginning of its answer."""
    waited_for = list(readers)
    await asyncio.to_thread(
        until,
        lambda: all(len(reader.events) > chunks for reader in waited_for),
        lambda: f"every turn has begun {[(r.refused, r.cut, len(r.events)) for r in waited_for]}",
        seconds=60,
    )


async def agree(server: Server, readers: Iterable[Reader]) -> list[dict[str, Any]]:
    """Once every turn has ended: the auditor finds no difference, and what each client received
    is what is stored. The messages that they read, as stored."""
    stored = [await asyncio.to_thread(_stored, server, reader) for reader in readers]
    await asyncio.to_thread(audit, server)
    return [message for message in stored if message is not None]


def audit(server: Server) -> None:
    told = server.command("audit_books", "--format", "json", timeout=120)
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout) == {"agree": True, "differences": []}


def _stored(server: Server, reader: Reader) -> dict[str, Any] | None:
    transcript = _transcript(server, reader)
    asked = [each for each in transcript if each["content"] == reader.said]
    if reader.refused and not reader.events:
        assert not asked, "what was refused was written"
        return None
    if not reader.events:
        assert len(asked) <= 1, reader.said  # cut before the first byte: all of it, or nothing
        return None
    _one_order(reader.events)
    (message,) = [each for each in transcript if each["id"] == reader.message]
    if reader.asked:
        assert [each["id"] for each in asked] == [message["parent_id"]], "asked once, stored once"
    if reader.end:
        _same_end(reader, message)
    else:
        # Cut off: it may have read more than its dying process had saved, or less.
        text, content = reader.text, message["content"]
        assert content.startswith(text) or text.startswith(content), (text, content)
    return message


def _transcript(server: Server, reader: Reader) -> list[dict[str, Any]]:
    """All messages, once none of them is being written."""
    found: list[dict[str, Any]] = []

    def has_ended() -> bool:
        path = f"conversations/{reader.conversation}/messages?limit=100"
        shown = reader.person.call("GET", path, at=server)
        found[:] = shown.json()["results"] if shown.status == 200 else []
        return shown.status == 200 and all(each["status"] != "streaming" for each in found)

    until(has_ended, lambda: f"no turn runs any more {found}\n{server.log}", seconds=120)
    return found


def _one_order(found: list[dict[str, Any]]) -> None:
    """Numbers rise by one; only a snapshot stands for what lies before it."""
    for before, event in pairwise(found):
        step = event["seq"] - before["seq"]
        assert step == 1 or (step > 0 and event["type"] == "snapshot"), (before, event)
    assert [event["type"] in ENDS for event in found].count(True) <= 1
    assert len({event["message_id"] for event in found}) == 1


def _same_end(reader: Reader, message: dict[str, Any]) -> None:
    end = reader.end
    assert end is not None
    assert reader.text == message["content"], (end["type"], reader.text, message)
    if end["type"] == "chat_complete":
        assert end["message"] == message
    else:
        assert end["code"] == message["error"]["code"], (end, message)
