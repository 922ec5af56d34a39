"""Who calls this view, where from, and with what."""

from __future__ import annotations

from typing import TypedDict

from rest_framework.request import Request

from accounts.services.callers import Caller
from common.addresses import client_address
from common.errors import Unauthenticated


class Device(TypedDict):
    client: str
    address: str


def caller_of(request: Request) -> Caller:
    """Who is calling; raises Unauthenticated when nobody said."""
    if not isinstance(request.auth, Caller):
        raise Unauthenticated
    return request.auth


def address_of(request: Request) -> str:
    return client_address(request.META)


def device_of(request: Request) -> Device:
    """What a person will recognise their device by in the list of sessions."""
    return {
        "client": request.META.get("HTTP_USER_AGENT", ""),
        "address": address_of(request),
    }
