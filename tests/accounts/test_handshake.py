"""Who opens a WebSocket: bearer or cookie, and from which page (S18, S20, W1, W2)."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings
from django.test import Client

from accounts.errors import ForeignOrigin, TokenInvalid
from accounts.services import people
from accounts.services.callers import caller_from_handshake
from common.errors import Unauthenticated

pytestmark = pytest.mark.django_db

SITE = "https://parley.example.org"


@pytest.fixture(autouse=True)
def site(settings):
    settings.PUBLIC_URL = SITE
    settings.CORS_ORIGINS = ["https://app.example.com"]
    settings.ALLOWED_HOSTS = ["testserver", "parley.example.org"]


def scope(*, token=None, cookie=None, origin=None, host="testserver", scheme="ws", query=b""):
    headers = [(b"host", host.encode())]
    if cookie is not None:
        headers.append(
            (b"cookie", f"theme=dark; {django_settings.SESSION_COOKIE_NAME}={cookie}".encode())
        )
    if origin is not None:
        headers.append((b"origin", origin.encode("latin-1")))
    protocols = ["parley.v1"] + ([f"bearer.{token}"] if token is not None else [])
    return {
        "type": "websocket",
        "scheme": scheme,
        "headers": headers,
        "subprotocols": protocols,
        "query_string": query,
        "client": ("203.0.113.7", 5),
    }


@pytest.fixture
def cookie(mina):
    client = Client()
    client.force_login(mina)
    return client.cookies[django_settings.SESSION_COOKIE_NAME].value


def test_a_bearer_names_the_caller(mina, device):
    phone = device(mina)

    caller = caller_from_handshake(scope(token=phone.access))

    assert caller.user == mina
    assert caller.sign_in
    assert str(caller.sign_in.pk) == phone.sign_in_id
    assert caller.expires_at is not None


@pytest.mark.row("W1")
@pytest.mark.parametrize(
    "origin",
    [SITE, "https://PARLEY.example.org:443", "http://testserver", "https://app.example.com"],
)
def test_a_bearer_may_come_from_the_site_and_from_listed_origins(mina, device, origin):
    assert caller_from_handshake(scope(token=device(mina).access, origin=origin)).user == mina


FOREIGN = [
    "https://evil.example",
    "null",
    "",
    "http://parley.example.org",
    "https://parley.example.org:8443",
    "https://parley.example.org.evil.example",
    "https://evilparley.example.org",
    "https://testserver",
    "http://testserver:8001",
    "https://app.example.com.evil.example",
    "file://",
    "https://parley.example.org:x",
    "https://[::1",
    "javascript:alert(1)",
]


@pytest.mark.row("W1")
@pytest.mark.parametrize("origin", FOREIGN)
def test_another_origin_is_foreign_to_a_bearer(mina, device, origin):
    """W1: 403 before acceptance, told apart from a bad token."""
    with pytest.raises(ForeignOrigin):
        caller_from_handshake(scope(token=device(mina).access, origin=origin))


@pytest.mark.row("W1")
@pytest.mark.parametrize("origin", [*FOREIGN, "https://app.example.com", None])
def test_another_origin_or_none_is_foreign_to_a_cookie(cookie, origin):
    """W1: a cookie comes along with whatever page asks."""
    with pytest.raises(ForeignOrigin):
        caller_from_handshake(scope(cookie=cookie, origin=origin))


@pytest.mark.parametrize("origin", [SITE, "http://testserver", "http://testserver:80"])
def test_a_cookie_from_the_site_names_the_caller(mina, cookie, origin):
    assert caller_from_handshake(scope(cookie=cookie, origin=origin)).user == mina


@pytest.mark.row("W1")
def test_over_tls_the_site_is_https(mina, cookie):
    """W1: the scheme counts."""
    assert (
        caller_from_handshake(scope(cookie=cookie, origin="https://testserver", scheme="wss")).user
        == mina
    )
    with pytest.raises(ForeignOrigin):
        caller_from_handshake(scope(cookie=cookie, origin="http://testserver", scheme="wss"))


@pytest.mark.row("S20")
def test_a_name_that_merely_resolves_here_is_not_the_site(cookie):
    """DNS rebinding, Host and Origin agree and are both foreign."""
    with pytest.raises(ForeignOrigin):
        caller_from_handshake(
            scope(cookie=cookie, origin="http://evil.example", host="evil.example")
        )


@pytest.mark.row("S18")
def test_a_bad_bearer_beside_a_good_cookie_is_refused(cookie):
    with pytest.raises(TokenInvalid):
        caller_from_handshake(scope(token="nonsense", cookie=cookie, origin=SITE))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "parley-" + "A" * 43])
def test_a_bad_bearer_is_refused(token):
    with pytest.raises(TokenInvalid):
        caller_from_handshake(scope(token=token))


@pytest.mark.row("W2")
def test_a_token_in_the_address_is_not_read(mina, device):
    query = f"token={device(mina).access}&access_token={device(mina).access}".encode()

    with pytest.raises(Unauthenticated) as refusal:
        caller_from_handshake(scope(query=query))

    assert not isinstance(refusal.value, TokenInvalid)


@pytest.mark.parametrize("key", [None, "nobody", "", r'"' + r"\000" * 32 + '"'])
def test_who_brings_nothing_is_nobody(key):
    with pytest.raises(Unauthenticated):
        caller_from_handshake(scope(cookie=key, origin=SITE))


def test_a_broken_cookie_header_is_nobody():
    broken = scope(origin=SITE)
    broken["headers"].append((b"cookie", b'\xff=\x00; =;;; "x'))

    with pytest.raises(Unauthenticated):
        caller_from_handshake(broken)


@pytest.mark.row("S3")
def test_the_suspended_stay_outside(mina, device, cookie):
    phone = device(mina)
    people.suspend(mina, actor=None)

    with pytest.raises(TokenInvalid):
        caller_from_handshake(scope(token=phone.access))
    with pytest.raises(Unauthenticated):
        caller_from_handshake(scope(cookie=cookie, origin=SITE))
