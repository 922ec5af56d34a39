"""What a caller's headers say, of an ASGI scope or a request's META: before Django speaks, too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from django.utils import translation
from uuid_utils.compat import uuid7

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def sent(scope_or_meta: Mapping[str, Any], name: str) -> str | None:
    """A header by its lower-case name; None when it did not come."""
    headers = scope_or_meta.get("headers")
    if headers is None:
        found: str | None = scope_or_meta.get(f"HTTP_{name.upper().replace('-', '_')}")
        return found
    wanted = name.encode()
    values = [value.decode("latin-1") for key, value in headers if key.lower() == wanted]
    return ",".join(values) if values else None


def header(scope_or_meta: Mapping[str, Any], name: str) -> str:
    """The same; "" when it did not come."""
    return sent(scope_or_meta, name) or ""


def request_id_of(scope_or_meta: Mapping[str, Any]) -> str:
    """The caller's own id for a request when it is a sane one (I12), else a new one."""
    given = header(scope_or_meta, "x-request-id")
    return given if _SANE_ID.fullmatch(given) else new_request_id()


def new_request_id() -> str:
    return uuid7().hex


def language_of(scope_or_meta: Mapping[str, Any]) -> str:
    """The language that the caller asks for."""
    asked = {"HTTP_ACCEPT_LANGUAGE": header(scope_or_meta, "accept-language")}
    request: Any = SimpleNamespace(COOKIES={}, META=asked)
    return translation.get_language_from_request(request)
