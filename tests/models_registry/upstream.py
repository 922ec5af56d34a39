"""A loopback server that plays a vendor's wire, byte for byte as a test scripts it.

It runs on a loop in a thread of its own, so that it serves any test, sync or async, and the
runner of turns on whatever loop that has.
"""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

DEADLINE_SECONDS = 10

# Steps of a reply besides bytes (one bytes step is one write) and `Wait`.
CUT = "cut"  # close without the end that HTTP promised
RESET = "reset"  # RST
HANG = "hang"  # say nothing more until the client leaves


class Wait(threading.Event):
    """The reply goes on when the test sets it."""


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    left: threading.Event = field(default_factory=threading.Event)
    """Set when the client has closed its side of the connection."""

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def route(self):
        return self.path.partition("?")[0]

    async def was_left(self):
        """Whether the client closes its side; waits without holding the client's loop up."""
        return await asyncio.to_thread(self.left.wait, DEADLINE_SECONDS)


@dataclass
class Reply:
    steps: Iterable = ()
    status: int = 200
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    raw: bool = False
    """The steps are the whole response, status line included."""


def sse(*objects, end=b"\n\n"):
    """Objects (or ready bytes) as events of one write."""
    return b"".join(
        b"data: " + (each if isinstance(each, bytes) else json.dumps(each).encode()) + end
        for each in objects
    )


def delta(text=None, **fields):
    """A chunk with a piece of the answer."""
    content = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": content | fields, "finish_reason": None}]}


def finish(reason="stop", **fields):
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]} | fields


def usage(prompt=7, completion=2, **fields):
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    return {"choices": [], "usage": counts | fields}


DONE = b"[DONE]"


def answer(*texts, prompt=7, completion=2):
    """A whole good answer, each text a write of its own."""
    steps = [sse(delta(text)) for text in texts]
    return Reply((*steps, sse(finish(), usage(prompt, completion), DONE)))


def tool_call(name, *fragments, call_id="call_1"):
    """A call of a tool and the end, as one reply."""
    first = {"index": 0, "id": call_id, "type": "function", "function": {"name": name}}
    pieces = [{"index": 0, "function": {"arguments": each}} for each in fragments]
    steps = [sse(delta(None, tool_calls=[piece])) for piece in (first, *pieces)]
    return Reply((*steps, sse(finish("tool_calls"), DONE)))


def hanging(text):
    """The beginnings of an answer whose end never comes; the test adds how."""
    return sse(delta(text))


def echo(key):
    """A refusal that says the key wherever it can."""
    return refusal(401, {"message": f"bad {key}", "code": key, "type": key}, www_authenticate=key)


def refusal(status, error=None, **headers):
    body = json.dumps({"error": error or {"message": "no"}}).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((body,), status=status, content_type="application/json", headers=names)


def model_list(names):
    return {"data": [{"id": name} for name in names]}


class Upstream:
    def __init__(self):
        self.requests: list[Request] = []
        self.connections = 0
        self.models = ["gpt-4o", "mock"]
        self.list_reply: Reply | None = None
        """What the list of models is answered with instead of `models`."""
        self.model_list = model_list
        self._replies: list[Reply] = []
        self._asked = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: set[asyncio.Task] = set()
        self._server = self._on_loop(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    @property
    def environ(self):
        """Of a server whose models answer as they are told to here, and whom no limit meets."""
        return {
            "OPENAI_BASE_URL": self.url,
            "OPENAI_API_KEY": "sk-upstream-canary-8d1f0c2b7a",
            "DEFAULT_MODEL": "mock",
            "LIMIT_FACTOR": "100",
            # Else a job would ask for one, once a test has said a megabyte.
            "AUTOMATIC_SUMMARIES": "false",
        }

    def script(self, *replies):
        """What the next requests for an answer get; the last one is repeated."""
        self._replies = list(replies)

    @property
    def chats(self):
        return [request for request in self.requests if request.method == "POST"]

    async def was_asked(self):
        """Wait for the first request."""
        assert await asyncio.to_thread(self._asked.wait, DEADLINE_SECONDS)

    def close(self):
        async def end():
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._on_loop(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_SECONDS)
        self._loop.close()

    def _on_loop(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_SECONDS)

    async def _connected(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            begun = b""
            while begun is not None:
                begun = await self._serve(reader, writer, begun)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader, writer, begun):
        """One request; the beginning of the next one, or None when there can be none."""
        head = begun + await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _version = first.split(" ", 2)
        pairs = [line.split(": ", 1) for line in lines if line]
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(method, path, headers, body)
        self.requests.append(request)
        self._asked.set()
        reply = self._reply_to(request)
        playing = asyncio.create_task(self._play(reply, writer))
        leaving = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            early = _result(leaving)
            # A client that leaves while something is unread resets the connection.
            gone = any(isinstance(each, ConnectionError) for each in (early, _result(playing)))
            if early == b"" or gone:
                request.left.set()
                return None
            # What came early is the beginning of the next request.
            return (early or b"") if await playing else None
        finally:
            playing.cancel()
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)

    def _reply_to(self, request):
        if request.route.endswith("/models") and self.list_reply:
            return self.list_reply
        if request.route.endswith("/models"):
            body = json.dumps(self.model_list(self.models)).encode()
            return Reply((body,), content_type="application/json")
        if len(self._replies) > 1:
            return self._replies.pop(0)
        return self._replies[0]

    async def _play(self, reply, writer):
        """Whether the whole reply went out and the connection is sound."""
        if not reply.raw:
            writer.write(_head(reply))
        for step in reply.steps:
            if isinstance(step, Wait):
                await asyncio.to_thread(step.wait, DEADLINE_SECONDS)
            elif step == HANG:
                await asyncio.Event().wait()
            elif step == CUT:
                await writer.drain()
                return False
            elif step == RESET:
                await writer.drain()
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
                return False
            else:
                writer.write(step if reply.raw else b"%x\r\n%b\r\n" % (len(step), step))
                await writer.drain()
        if not reply.raw:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return not reply.raw


def _result(task):
    """What the task has returned or raised, None while it runs."""
    if not task.done():
        return None
    return task.exception() or task.result()


def _head(reply):
    lines = [f"HTTP/1.1 {reply.status} Scripted", "transfer-encoding: chunked"]
    if reply.content_type:
        lines.append(f"content-type: {reply.content_type}")
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()
