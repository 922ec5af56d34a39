"""Who is calling, by network address (R2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

from common.request_headers import header

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What proxies and tunnels add, each its own: one is enough to tell that something is between.
FORWARDING_HEADERS = (
    *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip"),
    *("x-forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port"),
    *("x-forwarded-proto", "x-forwarded-server", "x-original-host", "cf-connecting-ip"),
)


def client_address(scope_or_meta: Mapping[str, Any]) -> str:
    """The caller's address, of an ASGI scope or a request's META; "" when there is none.

    It is the peer, unless the peer is in `TRUSTED_PROXIES`: then the first address of
    `X-Forwarded-For`, read from the right, that is not a trusted proxy itself.
    """
    peer, forwarded = _peer(scope_or_meta), header(scope_or_meta, "x-forwarded-for")
    address = parse(peer)
    if address is None:
        return peer
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while is_trusted(address) and hops:
        hop = parse(hops.pop())
        if hop is None:
            break
        address = hop
    return str(address)


def is_direct_loopback(scope_or_meta: Mapping[str, Any]) -> bool:
    """Does a program on this very machine ask, without any proxy between?"""
    address = parse(_peer(scope_or_meta))
    return bool(address and address.is_loopback) and not any(
        header(scope_or_meta, name) for name in FORWARDING_HEADERS
    )


def address_key(address: str) -> str:
    """What a limit counts: the address, or of IPv6 the /64 that one household has."""
    parsed = parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed) if parsed else "unknown"


def parse(text: str) -> Address | None:
    """An IP address, with or without port or zone; IPv4 in IPv6 clothes as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def is_trusted(address: Address) -> bool:
    return any(address in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


@lru_cache(maxsize=8)
def _networks(proxies: tuple[str, ...]) -> tuple[Network, ...]:
    networks = []
    for proxy in proxies:
        try:
            networks.append(ipaddress.ip_network(proxy, strict=False))
        except ValueError:
            continue  # config.checks names it
    return tuple(networks)


def _peer(scope_or_meta: Mapping[str, Any]) -> str:
    if "REMOTE_ADDR" in scope_or_meta:
        return str(scope_or_meta["REMOTE_ADDR"])
    client = scope_or_meta.get("client")
    return str(client[0]) if client else ""
