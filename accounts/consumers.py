"""Sockets of people who signed in, and what ends with their sign-in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from rest_framework import serializers

from accounts.errors import TokenInvalid
from accounts.services import sign_ins
from accounts.services.callers import Caller, caller_from_bearer, caller_from_handshake
from common.api.fields import TextField
from common.db import in_thread
from common.lookout import every_look
from common.sockets import SocketConsumer, sockets
from common.sockets.frames import Frame
from common.streaming import open_streams

SIGN_IN_OVER = 4401
TOKEN_CHARACTERS = 8_192


class NoFields(serializers.Serializer[Any]):
    """A frame that is its type and no more."""


class AuthenticateFrame(serializers.Serializer[Any]):
    access_token = TextField(max_length=TOKEN_CHARACTERS)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A caller, as the sockets of `common` see one."""

    caller: Caller

    @property
    def user_id(self) -> UUID:
        return self.caller.user.pk

    @property
    def sign_in_id(self) -> UUID | None:
        return self.caller.sign_in.pk if self.caller.sign_in else None

    @property
    def expires_at(self) -> datetime | None:
        return self.caller.expires_at

    @property
    def language(self) -> str:
        return self.caller.user.language

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()


class SignedInConsumer(SocketConsumer):
    """A socket that one person opened, by token or cookie."""

    identity: SignedIn
    frames: ClassVar[dict[str, type[serializers.Serializer[Any]]]] = {
        "ping": NoFields,
        "authenticate": AuthenticateFrame,
    }

    @property
    def caller(self) -> Caller:
        return self.identity.caller

    async def identify(self) -> SignedIn:
        return SignedIn(await in_thread(caller_from_handshake)(self.scope))

    async def handle(self, frame: Frame) -> None:
        # The next look closes the socket; until then it may only bring a new token.
        if self.identity.has_expired and frame.type not in SignedInConsumer.frames:
            raise TokenInvalid
        await super().handle(frame)

    async def frame_ping(self, _fields: dict[str, Any], ref: str | None) -> None:
        self.send_frame({"type": "pong"}, ref=ref)

    async def frame_authenticate(self, fields: dict[str, Any], ref: str | None) -> None:
        self.spawn(self.renew(fields["access_token"], ref), ref=ref)

    async def renew(self, token: str, ref: str | None) -> None:
        caller = await in_thread(caller_from_bearer)(token)
        if caller.user.pk != self.identity.user_id:
            self.finish(SIGN_IN_OVER)
            return
        self.identity = SignedIn(caller)
        self.send_frame({"type": "authenticated"}, ref=ref)


@every_look
async def look_at_sign_ins() -> None:
    """End what belongs to sign-ins that were revoked or ran out (S4), and to old tokens (W4)."""
    mine = [socket for socket in sockets if isinstance(socket, SignedInConsumer)]
    streams = list(open_streams)
    named = {each.identity.sign_in_id for each in mine} | {each.sign_in_id for each in streams}
    asked = {sign_in_id for sign_in_id in named if sign_in_id is not None}
    over = asked - await in_thread(sign_ins.live)(asked) if asked else set()
    for socket in mine:
        if socket.identity.has_expired or socket.identity.sign_in_id in over:
            socket.end(SIGN_IN_OVER)
    for stream in streams:
        if stream.sign_in_id in over:
            stream.cut()
