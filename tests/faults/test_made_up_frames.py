"""10,000 hostile frames to `/ws/chat` of a real server (W9).

Each is answered, the socket stays unless there were too many, nobody else's things are reached,
and the log knows no bug.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.person import Person, Socket, register
from tests.events import text_of
from tests.faults.conftest import one_server
from tests.models_registry.upstream import answer
from tests.server import Server

FRAMES = 10_000
A_SOCKET = 250  # the server of this test takes 2,000 bad ones a minute
REFUSALS = {"invalid", "not_found", "token_invalid", "conflict", "idempotency_conflict"}
# Some of what is made up is a good frame: the stranger's own talk.
ANSWERS = {"error", "pong", "chat_start", "chat_chunk", "chat_complete"}
KINDS = {
    "chat": ["conversation_id", "content", "model", "parent_id", "idempotency_key", "attachments"],
    "stop": ["message_id"],
    "resume": ["message_id", "after"],
    "typing": ["conversation_id"],
    "authenticate": ["access_token"],
    "ping": [],
}
NO_FRAMES: list[str | bytes] = [
    b"",
    b'{"type":"ping"}',
    b"\xff\xfe\x00",
    "",
    " ",
    "null",
    "[]",
    "5",
    '"ping"',
    "{",
    '{"type":}',
    '{"type":"ping"}{}',
    "{'type':'ping'}",
    "\x00",
    '{"type":"ping","ref":"\\u0000"}',
    '{"type":"\\ud800"}',
    '{"\\udfff":1,"type":"ping"}',
    '{"type":"ping","a":' + "[" * 33 + "]" * 33 + "}",
    "[" * 60_000,
    '{"type":"ping","a":' + '{"a":' * 10_000,
    '{"type":"ping","a":1e999}',
    '{"type":"ping","a":NaN}',
    '{"type":"ping","a":-Infinity}',
    '{"type":"ping","a":' + "9" * 5_000 + "}",
    '{"type":"ping","a":1' + "0" * 30 + "}",
    '{"type":"ping","ref":5}',
    '{"type":"ping","ref":""}',
    '{"type":"ping","ref":"' + "r" * 65 + '"}',
    '{"type":"ping","ref":{}}',
    '{"type":5}',
    '{"type":null}',
    '{"type":["ping"]}',
    '{"type":""}',
    '{"type":"__init__"}',
    '{"type":"PING"}',
    '{"type":"chat_start","seq":0}',
    '{"type":"handle"}',
    '{"type":"user.nudge"}',
    "{}",
]
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63 - 1,
    1.5,
    "",
    " \n",
    "x",
    "\u2028\u202e\ufeff",
    "' OR 1=1 --",
    "../../etc/passwd",
    "00000000-0000-0000-0000-000000000000",
    "0" * 36,
    "a" * 10_000,
    [],
    [None],
    {},
    {"id": 1},
    [[[]]],
    {"$ne": None},
    {"toString": "x"},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Any) -> Iterator[Server]:
    upstream.script(answer("Hel", "lo"))
    folder = tmp_path_factory.mktemp("frames")
    with one_server(folder, upstream) as started:
        yield started


class Fuzzer:
    """Frames, made up from a seed, of a stranger who knows the ids of somebody's things."""

    def __init__(self, seed: int, theirs: dict[str, str]) -> None:
        self.random = random.Random(seed)  # noqa: S311 the same frames each time
        self.theirs = theirs

    def frame(self) -> tuple[str | bytes, bool]:
        """What to send, and whether it can only be refused."""
        if self.random.random() < 0.4:
            return self.random.choice(NO_FRAMES), True
        kind = self.random.choice(list(KINDS))
        fields: dict[str, Any] = {"type": kind}
        for name in KINDS[kind]:
            if self.random.random() < 0.6:
                fields[name] = self._value(name)
        if self.random.random() < 0.2:
            fields[self.random.choice(["\u202e", "__class__", "user_id", "status"])] = self._odd()
        if self.random.random() < 0.5:
            fields["ref"] = "r"
        sent = json.dumps(fields, ensure_ascii=self.random.random() < 0.5)
        if self.random.random() < 0.05:
            return sent[: self.random.randrange(1, len(sent))], True
        if self.random.random() < 0.05:
            return sent.encode(), True
        return sent, False

    def _value(self, name: str) -> Any:
        if name in self.theirs and self.random.random() < 0.6:
            return self.theirs[name]
        return self._odd()

    def _odd(self) -> Any:
        return self.random.choice(ODD)


async def play(person: Person, fuzzer: Fuzzer, count: int) -> int:
    """How many frames came back for so many on one socket."""
    frames = [fuzzer.frame() for _ in range(count)]
    bad = sum(only_refused for _sent, only_refused in frames)
    async with person.socket() as socket:
        for sent, _only_refused in frames:
            await socket.connection.send(sent)
        await socket.send(type="ping", ref="the last")
        found = await until_pong(socket)
    kinds = [each["type"] for each in found]
    told = [each.get("code") for each in found if each["type"] == "error"]
    assert kinds.count("error") >= bad, (bad, kinds, frames)
    assert set(told) <= REFUSALS, (told, frames)
    assert set(kinds) <= ANSWERS, (kinds, frames)
    return len(found)


async def until_pong(socket: Socket) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or (found[-1]["type"], found[-1].get("ref")) != ("pong", "the last"):
        found.append(await socket.get())
    return found


@pytest.mark.row("W9")
async def test_hostile_frames_are_answered_and_reach_nothing(server: Server) -> None:
    owner, stranger = register(server), register(server)
    conversation = owner.conversation(title="Plans")
    sent = owner.call("POST", f"conversations/{conversation}/messages", {"content": "Hi"})
    before = owner.call("GET", f"conversations/{conversation}/messages").json()
    theirs = {
        "conversation_id": conversation,
        "message_id": sent.json()["message"]["id"],
        "parent_id": sent.json()["message"]["id"],
        "content": "Say more",
    }
    fuzzer = Fuzzer(6, theirs)

    for _ in range(FRAMES // A_SOCKET // 4):
        await asyncio.gather(*(play(stranger, fuzzer, A_SOCKET) for _ in range(4)))

    assert owner.call("GET", f"conversations/{conversation}/messages").json() == before
    async with owner.socket() as socket:
        await socket.send(type="chat", conversation_id=conversation, content="Still there?")
        assert text_of(await socket.until("chat_complete")) == "Hello"
    assert server.request("/health/ready").status == 200
    assert "[error" not in server.log
    assert "Traceback" not in server.log
