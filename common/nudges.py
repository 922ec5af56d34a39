"""Nudges: "look", said over the channel layer to whichever process has somebody listening.

One channel per process hears for all its sockets: a channel for each would cost a task and a
subscription each, and a Redis that is away would stop their handshakes. Nudges may be lost,
doubled or late (W11); nothing depends on them but how soon something is seen.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import structlog
from channels.layers import get_channel_layer

from common.metrics import nudges_lost_total

logger = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0
_MEANS = "What it is about is seen some seconds later. See to the Redis of REDIS_URL."


class Member(Protocol):
    def nudged(self, message: dict[str, Any]) -> None:
        """Somebody said `message` to a group of this member. Must neither wait nor raise."""


async def nudge(group: str, message: dict[str, Any]) -> None:
    """Say `message` to all members of `group`, in any process. Never raises."""
    layer: Any = get_channel_layer()
    try:
        await layer.group_send(group, message | {"group": group})
    except Exception:  # noqa: BLE001 whatever ails the layer, the work that is announced stands
        nudges_lost_total.inc()
        logger.warning("A nudge was not sent. %s", _MEANS, nudge=message.get("type"))


def join(group: str, member: Member) -> None:
    """Let `member` hear what is said to `group`, on this loop, until it leaves."""
    _listener().join(group, member)


def leave(group: str, member: Member) -> None:
    _listener().leave(group, member)


class _Listener:
    """Who listens on one event loop, and the channel that hears for them."""

    def __init__(self) -> None:
        self.members: dict[str, set[Member]] = {}
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def join(self, group: str, member: Member) -> None:
        self.members.setdefault(group, set()).add(member)
        self.changed.set()
        if self.task is None:
            # It outlives the socket that brought it about, and must not log in its name.
            self.task = asyncio.get_running_loop().create_task(
                self.keep_listening(), name="nudges", context=contextvars.Context()
            )

    def leave(self, group: str, member: Member) -> None:
        members = self.members.get(group, set())
        members.discard(member)
        if not members:
            self.members.pop(group, None)
            self.changed.set()
        if not self.members and self.task is not None:
            self.task.cancel()
            self.task = None

    async def keep_listening(self) -> None:
        while not _cancel_was_lost():
            try:
                await self.listen()
            except Exception:  # noqa: BLE001 the layer's own errors are not one family
                logger.warning("Nudges of other processes are not heard. %s", _MEANS)
                await asyncio.sleep(_RETRY_SECONDS)

    async def listen(self) -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel("nudges.")
        if _cancel_was_lost() and (task := asyncio.current_task()):
            task.cancel()  # `receive` hears it at once, and gives the channel back
        self.changed.set()
        joining = asyncio.create_task(self.keep_joining(layer, channel), name="nudge groups")
        try:
            while True:
                self.deliver(await layer.receive(channel))
        finally:
            joining.cancel()

    async def keep_joining(self, layer: Any, channel: str) -> None:
        """Subscribe to the groups that have members here, and to no others."""
        joined: set[str] = set()
        while not _cancel_was_lost():
            await self.changed.wait()
            self.changed.clear()
            try:
                for group in self.members.keys() - joined:
                    await layer.group_add(group, channel)
                    joined.add(group)
                for group in joined - self.members.keys():
                    joined.discard(group)
                    await layer.group_discard(group, channel)
            except Exception:  # noqa: BLE001 the layer's own errors are not one family
                logger.warning("Nudges of a person are not heard. %s", _MEANS)
                await asyncio.sleep(_RETRY_SECONDS)
                self.changed.set()

    def deliver(self, message: dict[str, Any]) -> None:
        for member in list(self.members.get(message.get("group", ""), ())):
            member.nudged(message)


def _cancel_was_lost() -> bool:
    """Whether this task was cancelled and runs on.

    Redis's client awaits `asyncio.wait_for`, which before Python 3.12 loses a cancel that comes
    as its inner call ends (github.com/python/cpython/issues/86296).
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, _Listener] = WeakKeyDictionary()


def _listener() -> _Listener:
    loop = asyncio.get_running_loop()
    listener = _listeners.get(loop)
    if listener is None:
        listener = _listeners[loop] = _Listener()
    return listener
