"""The scripted provider, with pauses: a number among a reply's steps is seconds of silence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from tests.models_registry.upstream import DONE, Reply, Upstream, _head, delta, finish, sse, usage


class Provider(Upstream):
    async def _play(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        if not reply.raw:
            writer.write(_head(reply))
        for step in reply.steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, bytes):
                piece = step if reply.raw else b"%x\r\n%b\r\n" % (len(step), step)
                await super()._play(Reply((piece,), raw=True), writer)
            else:
                return bool(await super()._play(Reply((step,), raw=True), writer))
        if not reply.raw:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return not reply.raw


def spoken(words: Iterable[str], *, seconds: float) -> Reply:
    """An answer of these words, `seconds` of silence before each."""
    steps: list[Any] = []
    for word in words:
        steps += [seconds, sse(delta(word))]
    return Reply((*steps, sse(finish(), usage(), DONE)))


def numbers(count: int) -> list[str]:
    return [f"{number} " for number in range(count)]
