"""Which addresses an outbound connection may go to (SECURITY O3, O4).

The lists are ours: `ipaddress` calls 100.64/10 not private and 64:ff9b::/96, 2002::/16 and
multicast global, and its tables differ between Python releases.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


# Closed to everyone: link-local, and where clouds keep the credentials of their machines.
_NEVER = _networks(
    "169.254.0.0/16",
    "100.100.100.200/32",
    "192.0.0.192/32",
    "168.63.129.16/32",
    "fe80::/10",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
)
# Open to staff, and to all where the deployment says so.
_PRIVATE = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
)
# What IANA's special-purpose registries take out of global unicast beside the two above.
_SPECIAL_V4 = _networks(
    "0.0.0.0/8",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_SPECIAL_V6 = _networks("2001::/23", "2001:db8::/32", "3fff::/20")

# IPv6 forms that end in an IPv4 address which the packet finally reaches: mapped, translated,
# compatible, NAT64 (well-known and local-use).
_ENDS_IN_V4 = _networks(
    "::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48"
)
_6TO4 = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")


def may_reach(address: Address | str, *, allow_private: bool) -> bool:
    """Whether a connection to this resolved address is allowed; "" and nonsense are not."""
    if isinstance(address, str):
        try:
            address = ip_address(address.partition("%")[0])
        except ValueError:
            return False
    if isinstance(address, IPv4Address):
        return _may_reach_v4(address, allow_private=allow_private)
    if address in _TEREDO or _in(address, _NEVER):
        return False  # a Teredo server and client could be told apart, but nobody needs them
    if _in(address, _PRIVATE):
        return allow_private
    if inner := _inner_v4(address):
        return _may_reach_v4(inner, allow_private=allow_private)
    return address in _GLOBAL_V6 and not _in(address, _SPECIAL_V6)


def _may_reach_v4(address: IPv4Address, *, allow_private: bool) -> bool:
    if _in(address, _NEVER) or _in(address, _SPECIAL_V4):
        return False
    return allow_private or not _in(address, _PRIVATE)


def _inner_v4(address: IPv6Address) -> IPv4Address | None:
    if address in _6TO4:
        return IPv4Address((int(address) >> 80) & 0xFFFF_FFFF)
    if _in(address, _ENDS_IN_V4):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
