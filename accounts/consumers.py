"""Sockets of people who signed in, and what ends with their sign-in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from rest_framework import serializers

from accounts.errors import TokenInvalid
from accounts.services import api_keys, sign_ins
from accounts.services.callers import Caller, caller_from_handshake, caller_from_token
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
    def credential_id(self) -> UUID | None:
        return self.caller.credential_id

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
    """A socket that one person opened, by token, API key or cookie.

    `key_scopes`: a key comes in by any one of these scopes, and by none where there are none (K3).
    """

    identity: SignedIn
    key_scopes: ClassVar[frozenset[str]] = frozenset()
    frames: ClassVar[dict[str, type[serializers.Serializer[Any]]]] = {
        "ping": NoFields,
        "authenticate": AuthenticateFrame,
    }

    @property
    def caller(self) -> Caller:
        return self.identity.caller

    async def identify(self) -> SignedIn:
        caller = await in_thread(caller_from_handshake)(self.scope)
        if not caller.is_within(self.key_scopes):
            raise TokenInvalid
        return SignedIn(caller)

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
        caller = await in_thread(caller_from_token)(token)
        if caller.user.pk != self.identity.user_id:
            self.finish(SIGN_IN_OVER)
            return
        self.identity = SignedIn(caller)
        self.send_frame({"type": "authenticated"}, ref=ref)

    async def credentials_ended(self, _message: dict[str, Any]) -> None:
        """A nudge: something that this person came with is no longer good."""
        credential_id = self.identity.credential_id
        if credential_id is not None:
            good = await in_thread(_good)({credential_id})
            if not good.admits(self):
                self.finish(SIGN_IN_OVER)


@dataclass(frozen=True, slots=True)
class _Good:
    """Which of the credentials that were asked for still count: sign-ins, and keys by scopes."""

    sign_ins: set[UUID]
    keys: dict[UUID, frozenset[str]]

    def admits(self, socket: SignedInConsumer) -> bool:
        credential_id = socket.identity.credential_id
        if credential_id is None or credential_id in self.sign_ins:
            return True
        return not self.keys.get(credential_id, frozenset()).isdisjoint(socket.key_scopes)


def _good(ids: set[UUID]) -> _Good:
    found = sign_ins.live(ids)
    others = ids - found
    return _Good(found, api_keys.scopes_of_live(others) if others else {})


@every_look
async def look_at_credentials() -> None:
    """End what belongs to sign-ins and API keys that were revoked or ran out (S4), and to old
    tokens (W4)."""
    mine = [socket for socket in sockets if isinstance(socket, SignedInConsumer)]
    streams = [stream for stream in open_streams if stream.credential_id is not None]
    named = {each.identity.credential_id for each in mine} | {
        each.credential_id for each in streams
    }
    asked = {credential_id for credential_id in named if credential_id is not None}
    good = await in_thread(_good)(asked) if asked else _Good(set(), {})
    for socket in mine:
        if socket.identity.has_expired or not good.admits(socket):
            socket.end(SIGN_IN_OVER)
    for stream in streams:
        if stream.credential_id not in good.sign_ins and stream.credential_id not in good.keys:
            stream.cut()
