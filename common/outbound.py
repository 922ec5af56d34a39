"""Every outbound HTTP connection of Parley to an address that a person can steer (SECURITY 4).

The check runs inside the connector, on the resolved address of every attempt, and the socket goes
to that very address: a name that answers differently the second time gains nothing.
"""

from __future__ import annotations

import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from common.errors import Invalid
from common.reachable import may_reach

URL_CHARACTERS = 500

# No empty or climbing segment, in the clear or escaped: which address those mean is for every
# client and server to decide anew. Of escapes only spaces and other scripts are of use.
_URL = re.compile(
    r"""
    https?:// (?: \[[0-9a-f:.]+\] | [a-z0-9._-]+ ) (?: :[0-9]+ )?
    (?: / (?! (?: \. | %2e ){1,2} (?: / | $ ) )
        (?: [a-z0-9._~:@+=,-] | %20 | %[89a-f][0-9a-f] )+ )*
    /?
    """,
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
_PORTS = frozenset({80, 443, *range(1_024, 65_536)})
_RESOLVE_SECONDS = 5
# A conversation's next turn finds its connection open; longer, and servers begin to close it.
_KEEP_ALIVE_SECONDS = 30

# getaddrinfo cannot be interrupted; a slow name server costs these threads, not the requests'.
_resolving = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")


class ForbiddenAddress(OSError):
    """The guard's refusal, in the shape the connector expects of a failed attempt."""


class _GuardedResolver(AbstractResolver):
    """Every address of a name must pass, or none is used."""

    def __init__(self, *, allow_private: bool) -> None:
        self._inner = ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(may_reach(each["host"], allow_private=self._allow_private) for each in found):
            raise ForbiddenAddress("address not allowed")
        return found

    async def close(self) -> None:
        await self._inner.close()


def guarded_session(*, allow_private: bool) -> aiohttp.ClientSession:
    """A session that reaches allowed addresses only, and keeps nothing between requests.

    No proxies, no .netrc, no cookies, its own pool, verified TLS, bodies left packed. Redirects
    are the caller's to refuse (`allow_redirects=False`). To be made and closed on one event loop.
    """

    def open_socket(address_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _name, address = address_info
        if not may_reach(str(address[0]), allow_private=allow_private):
            raise ForbiddenAddress("address not allowed")
        return socket.socket(family=family, type=kind, proto=protocol)

    connector = aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        ssl=tls_context(),
        socket_factory=open_socket,
        resolver=_GuardedResolver(allow_private=allow_private),
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    )


def tls_context() -> ssl.SSLContext:
    """Verification is always on; UPSTREAM_CA_FILE adds authorities, nothing takes any away."""
    return _tls_context(settings.UPSTREAM_CA_FILE)


@lru_cache(maxsize=4)
def _tls_context(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=certifi.where())
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


def check_url(url: str, *, staff: bool, field: str = "base_url", resolve: bool = True) -> None:
    """Raise Invalid for `field` unless Parley may connect to `url`.

    Looks the name up, never connects; without `resolve` only the form is checked.
    """
    allow_private = staff or settings.ALLOW_PRIVATE_UPSTREAMS
    parts = _split(url)
    if parts is None:
        raise Invalid.field(
            field,
            _(
                "Give a plain web address like https://host/v1: "
                "no user name, query, fragment, dots for folders or unusual signs."
            ),
        )
    if parts.scheme.lower() == "http" and not allow_private:
        raise Invalid.field(field, _("The address must begin with https://."))
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if port not in _PORTS:
        raise Invalid.field(field, _("Only the ports 80, 443 and 1024 to 65535 are allowed."))
    if not resolve:
        return
    addresses = _addresses(host, port)
    if not addresses:
        raise Invalid.field(field, _("The name of the server does not resolve."))
    if not all(may_reach(address, allow_private=allow_private) for address in addresses):
        raise Invalid.field(field, _("This address is not allowed."))


def check_header_value(value: str, *, field: str) -> None:
    """Raise Invalid unless `value` may stand in a header: printable ASCII without spaces."""
    if not _HEADER_VALUE.fullmatch(value):
        raise Invalid.field(field, _("Only printable ASCII characters without spaces, please."))


def _split(url: str) -> SplitResult | None:
    # The pattern comes first: urlsplit silently drops tabs and line ends, takes backslashes, and
    # normalises digits of other scripts.
    if len(url) > URL_CHARACTERS or not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if sound else None


def _addresses(host: str, port: int) -> set[str]:
    """All addresses of `host`; none when it does not resolve in time."""
    try:
        found = _resolving.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM).result(
            timeout=_RESOLVE_SECONDS
        )
    except (OSError, TimeoutError, UnicodeError):
        return set()
    return {str(address[0]) for *_rest, address in found}
