"""Which site a browser's page belongs to, when it asks us (W1, S20).

All of it for an ASGI scope or a request's META.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from common.request_headers import header, sent

Headers = Mapping[str, Any]
_Origin = tuple[str, str, int]


def origin_of(scope_or_meta: Headers) -> str | None:
    """The page that asks, as its browser names it; None for a program, which sends none."""
    return sent(scope_or_meta, "origin")


def is_site(origin: str, scope_or_meta: Headers) -> bool:
    """Equal to the deployment's own address in scheme, host and port."""
    asked = parts_of(origin)
    if asked is None:
        return False
    return asked == parts_of(settings.PUBLIC_URL) or asked == _own_origin(scope_or_meta)


def is_listed(origin: str) -> bool:
    """One of CORS_ORIGINS."""
    asked = parts_of(origin)
    return asked is not None and any(asked == parts_of(listed) for listed in settings.CORS_ORIGINS)


def has_own_host(scope_or_meta: Headers) -> bool:
    """Was it sent to a name that is ours? Else any name that resolves to this machine would make
    its page a part of the site."""
    domain, _port = split_domain_port(header(scope_or_meta, "host"))
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _own_origin(scope_or_meta: Headers) -> _Origin | None:
    """What the browser was pointed at."""
    if not has_own_host(scope_or_meta):
        return None
    scheme = "https" if scope_or_meta.get("scheme") in {"wss", "https"} else "http"
    return parts_of(f"{scheme}://{header(scope_or_meta, 'host')}")


def parts_of(address: str) -> _Origin | None:
    """Scheme, host and port of an origin, or of any address of a site; None where it has none."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)
