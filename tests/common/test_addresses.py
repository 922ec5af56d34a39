"""R2: whom a limit counts, whatever headers say."""

from __future__ import annotations

import pytest

from common.addresses import address_key, client_address, is_direct_loopback

FORGED = {
    "HTTP_X_FORWARDED_FOR": "1.2.3.4",
    "HTTP_X_REAL_IP": "1.2.3.4",
    "HTTP_FORWARDED": "for=1.2.3.4",
}


@pytest.mark.row("R2")
def test_without_trusted_proxies_headers_are_ignored():
    assert client_address({"REMOTE_ADDR": "203.0.113.9", **FORGED}) == "203.0.113.9"


@pytest.mark.row("R2")
def test_the_first_untrusted_hop_from_the_right_counts(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "192.168.1.5"]
    meta = {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_X_FORWARDED_FOR": "6.6.6.6, 203.0.113.9, 192.168.1.5",
    }

    assert client_address(meta) == "203.0.113.9"


@pytest.mark.row("R2")
def test_an_untrusted_peer_cannot_say_who_it_is(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]

    assert client_address({"REMOTE_ADDR": "203.0.113.9", **FORGED}) == "203.0.113.9"


def test_only_trusted_hops_leave_the_last_of_them(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "10.0.0.7"}

    assert client_address(meta) == "10.0.0.7"


@pytest.mark.row("R2")
def test_rubbish_in_the_header_ends_the_walk(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    meta = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9, <script>"}

    assert client_address(meta) == "10.0.0.1"


def test_a_scope_is_read_like_a_request(settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    scope = {
        "client": ("127.0.0.1", 5000),
        "headers": [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"[2001:db8::1]:99")],
    }

    assert client_address(scope) == "2001:db8::1"


@pytest.mark.row("R2")
@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
    ],
)
def test_a_household_is_one_key(address, key):
    """R2: limits key on the address or its /64."""
    assert address_key(address) == key


@pytest.mark.row("R11")
def test_loopback_behind_a_proxy_is_not_direct():
    """R11: behind a proxy on the same host everyone is loopback."""
    assert is_direct_loopback({"REMOTE_ADDR": "127.0.0.1"})
    assert not is_direct_loopback({"REMOTE_ADDR": "127.0.0.1", **FORGED})
    assert not is_direct_loopback({"REMOTE_ADDR": "203.0.113.9"})


@pytest.mark.row("R11", "S20")
@pytest.mark.parametrize("name", ["CF_CONNECTING_IP", "X_FORWARDED_PROTO", "X_CLIENT_IP"])
def test_whatever_a_proxy_adds_shows_that_there_is_one(name):
    """R11: some tell the address under names of their own, or the scheme alone."""
    assert not is_direct_loopback({"REMOTE_ADDR": "127.0.0.1", f"HTTP_{name}": "203.0.113.9"})
