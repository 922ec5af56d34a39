"""`/ws/chat`: commands in, the events of turns out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers
from uuid_utils.compat import uuid7

from accounts.consumers import SignedInConsumer
from accounts.models import Scope
from chat.api.serializers import (
    ChatFrame,
    ConversationFrame,
    ConversationSerializer,
    MessageFrame,
    ResumeFrame,
)
from chat.models import Conversation
from chat.services.stopping import ending, request_stop
from chat.services.turn_requests import (
    TurnStarted,
    send_message,
    send_to_new_conversation,
    turn_of_message,
    turns_begun_since,
)
from chat.streams.events import TurnRef
from chat.streams.nudges import user_group
from chat.streams.reading import end_of, read_turn
from common import rates
from common.db import in_thread
from common.errors import Invalid, NotFound, RateLimited
from common.lookout import every_look
from common.nudges import join, leave, nudge
from common.sockets import sockets
from common.sockets.frames import with_ref
from common.streaming import Slot
from quotas.services.quota_warnings import warned_since

# A stop is answered within this, whether or not the turn has ended by then (W10).
STOP_ANSWER_SECONDS = 0.8
# Turns begin at times that clocks of other machines tell.
OVERLAP = timedelta(seconds=30)
KNOWN_TURNS = 1_000

_Work = Callable[[dict[str, Any], str | None], Coroutine[Any, Any, None]]


class ChatConsumer(SignedInConsumer):
    """One socket of a person: what they ask of turns, and what happens to any of theirs."""

    key_scopes = frozenset({Scope.CHAT.value})
    frames: ClassVar[dict[str, type[serializers.Serializer[Any]]]] = {
        **SignedInConsumer.frames,
        "chat": ChatFrame,
        "stop": MessageFrame,
        "resume": ResumeFrame,
        "typing": ConversationFrame,
    }

    def opened(self) -> None:
        self.key = uuid7().hex
        self.opened_at = timezone.now()
        self.followers: dict[UUID, asyncio.Task[None]] = {}
        self.known: OrderedDict[UUID, None] = OrderedDict()
        self.warned: OrderedDict[UUID, None] = OrderedDict()
        self.beginning = 0
        self.idle = asyncio.Event()
        self.idle.set()
        join(user_group(self.identity.user_id), self)

    def closed(self) -> None:
        leave(user_group(self.identity.user_id), self)

    # -- frames ----------------------------------------------------------------------------
    async def frame_chat(self, fields: dict[str, Any], ref: str | None) -> None:
        self.spawn_stream(self.chat, fields, ref)

    async def frame_resume(self, fields: dict[str, Any], ref: str | None) -> None:
        self.spawn_stream(self.resume, fields, ref)

    async def frame_stop(self, fields: dict[str, Any], ref: str | None) -> None:
        self.spawn(self.stop(fields["message_id"], ref), ref=ref)

    async def frame_typing(self, fields: dict[str, Any], ref: str | None) -> None:
        self.spawn(self.typing(fields["conversation_id"]), ref=ref)

    async def chat(self, fields: dict[str, Any], ref: str | None) -> None:
        with self.begins_turn():
            started = await in_thread(self.begin)(**fields)
            self.know(started.ref)
        # From its start also where the key joined a turn that was announced: who asks is answered.
        await self.follow(started.ref, ref=ref)

    def begin(
        self,
        *,
        content: str,
        conversation_id: UUID | None = None,
        attachments: object = None,
        **options: Any,
    ) -> TurnStarted:
        if conversation_id is not None:
            return send_message(self.caller, conversation_id, content=content, **options)
        if options.pop("parent_id", None) is not None:
            raise Invalid.field("parent_id", _("A parent is in a conversation; name it too."))
        return send_to_new_conversation(self.caller, content=content, **options)

    async def resume(self, fields: dict[str, Any], ref: str | None) -> None:
        turn = await in_thread(turn_of_message)(self.caller, fields["message_id"])
        self.know(turn)
        await self.follow(turn, after=max(-1, fields["after"]), ref=ref)

    async def stop(self, message_id: UUID, ref: str | None) -> None:
        turn = await in_thread(request_stop)(self.caller, message_id)
        if turn is not None:
            await asyncio.wait({ending(turn)}, timeout=STOP_ANSWER_SECONDS)
        self.send_frame({"type": "stopped", "message_id": message_id}, ref=ref)

    async def typing(self, conversation_id: UUID) -> None:
        if await in_thread(self.may_say_typing)(conversation_id):
            user_id = self.identity.user_id
            await nudge(
                user_group(user_id),
                {
                    "type": "user.typing",
                    "conversation": str(conversation_id),
                    "user": str(user_id),
                    "socket": self.key,
                },
            )

    def may_say_typing(self, conversation_id: UUID) -> bool:
        """Whether others should hear of it now; raises NotFound for what is not theirs (W14)."""
        mine = Conversation.objects.visible_to(self.caller.user)
        if not mine.filter(pk=conversation_id).exists():
            raise NotFound
        try:
            rates.hit("typing", str(self.identity.user_id))
        except RateLimited:
            return False
        return True

    # -- nudges ----------------------------------------------------------------------------
    async def user_typing(self, message: dict[str, Any]) -> None:
        if message["socket"] != self.key:
            self.send_frame(
                {
                    "type": "user_typing",
                    "conversation_id": message["conversation"],
                    "user_id": message["user"],
                }
            )

    async def conversation_changed(self, message: dict[str, Any]) -> None:
        found = await in_thread(self.conversation_fields)(UUID(message["conversation"]))
        if found is not None:
            self.send_frame({"type": "conversation_updated", "conversation": found})

    def conversation_fields(self, conversation_id: UUID) -> dict[str, Any] | None:
        """It as REST shows it; None when it is gone, or not theirs."""
        mine = Conversation.objects.visible_to(self.caller.user)
        conversation = mine.filter(pk=conversation_id).first()
        return None if conversation is None else ConversationSerializer(conversation).data

    async def quota_warned(self, message: dict[str, Any]) -> None:
        self.warn(UUID(message["warning"]), message["limit"], message["percent"])

    def warn(self, warning_id: UUID, limit: dict[str, Any], percent: int) -> None:
        """Tell of a warning, once, whoever says so, how often and how late."""
        if self.is_later(warning_id) and warning_id not in self.warned and not self.is_closing:
            _keep(self.warned, warning_id)
            self.send_frame({"type": "quota_warning", "limit": limit, "percent": percent})

    async def turn_began(self, message: dict[str, Any]) -> None:
        turn = TurnRef(
            UUID(message["turn"]),
            UUID(message["message"]),
            UUID(message["conversation"]),
            self.identity.user_id,
        )
        await self.announce(turn)

    async def announce(self, turn: TurnRef) -> None:
        """Tell of a turn that began elsewhere, once, whoever says so, how often and how late."""
        await self.idle.wait()  # it may be the very turn that a frame of ours is beginning
        if not self.is_news(turn):
            return
        self.know(turn)
        self.watch(turn, self.spawn(self.tell_ends(turn), asked=False))

    def is_news(self, turn: TurnRef) -> bool:
        """Did it begin while this socket was there, and was nothing said of it yet?"""
        is_later = self.is_later(turn.turn_id)
        return is_later and turn.turn_id not in self.known and not self.is_closing

    def is_later(self, made: UUID) -> bool:
        """Was what has this UUIDv7 made while this socket was there?"""
        return (made.int >> 80) >= self.opened_at.timestamp() * 1000

    def look_at(self, turn: TurnRef) -> None:
        """A look found this turn."""
        if not self.is_closing:
            self.spawn(self.announce(turn), asked=False)

    # -- turns -----------------------------------------------------------------------------
    @contextmanager
    def begins_turn(self) -> Iterator[None]:
        """While it lasts, nothing is told of turns that began elsewhere."""
        self.beginning += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.beginning -= 1
            if not self.beginning:
                self.idle.set()

    def know(self, turn: TurnRef) -> None:
        _keep(self.known, turn.turn_id)

    def spawn_stream(self, work: _Work, fields: dict[str, Any], ref: str | None) -> None:
        """`work` will follow a turn: it has one of its person's streams from now to its end (E5).

        Raises RateLimited when all are taken.
        """
        slot = Slot(self.identity.user_id)
        self.spawn(work(fields, ref), ref=ref).add_done_callback(lambda _done: slot.release())

    async def follow(self, turn: TurnRef, *, after: int = -1, ref: str | None) -> None:
        """Tell all of a turn, in the task that a frame was given."""
        task = asyncio.current_task()
        if task is not None:
            self.watch(turn, task)
        await self.tell_all(turn, after=after, ref=ref)

    def watch(self, turn: TurnRef, task: asyncio.Task[None]) -> None:
        """`task` tells of this turn from now on, in place of what did until now."""
        earlier = self.followers.pop(turn.message_id, None)
        if earlier is not None:
            earlier.cancel()
        self.followers[turn.message_id] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self.followers.get(turn.message_id) is done:
                del self.followers[turn.message_id]

        task.add_done_callback(forget)

    async def tell_all(self, turn: TurnRef, *, after: int, ref: str | None) -> None:
        async with aclosing(read_turn(turn, after=after)) as batches:
            async for batch in batches:
                for event in batch:
                    await self.outbox.room()
                    self.outbox.put(with_ref(event.data, ref))
                    ref = None

    async def tell_ends(self, turn: TurnRef) -> None:
        async with aclosing(read_turn(turn)) as batches:
            async for batch in batches:
                await self.idle.wait()  # a frame of ours may be joining it
                self.outbox.put(batch[0].data)
                break
        end = await end_of(turn)
        await self.outbox.room()
        self.outbox.put(end.data)


def _keep(known: OrderedDict[UUID, None], new: UUID) -> None:
    known[new] = None
    if len(known) > KNOWN_TURNS:
        known.popitem(last=False)


def _by_person() -> dict[UUID, list[ChatConsumer]]:
    """The chat sockets of this process."""
    found: dict[UUID, list[ChatConsumer]] = defaultdict(list)
    for socket in sockets:
        if isinstance(socket, ChatConsumer):
            found[socket.identity.user_id].append(socket)
    return found


@every_look
async def look_for_turns() -> None:
    """What a lost nudge would have said (W11)."""
    if people := _by_person():
        since = timezone.now() - OVERLAP
        for turn in await in_thread(turns_begun_since)(set(people), since):
            # Every turn is found by ten looks; a task for each of them would keep a core busy.
            for socket in people[turn.user_id] if turn.user_id else ():
                if socket.is_news(turn):
                    socket.loop.call_soon_threadsafe(socket.look_at, turn)


@every_look
async def look_for_warnings() -> None:
    """The same, of limits that come to their end (W11)."""
    if people := _by_person():
        since = timezone.now() - OVERLAP
        for warning in await in_thread(warned_since)(set(people), since):
            for socket in people[warning.user_id]:
                if warning.pk not in socket.warned:
                    told = (warning.pk, warning.limit, warning.percent)
                    socket.loop.call_soon_threadsafe(socket.warn, *told)
