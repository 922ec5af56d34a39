"""X5: only exact origins, never with credentials, never a reflection."""

from __future__ import annotations

import pytest

from tests.asgi import Request

pytestmark = pytest.mark.row("X5")

OURS = "https://app.example.com"


@pytest.fixture(autouse=True)
def _one_origin(settings):
    settings.CORS_ALLOWED_ORIGINS = [OURS]


async def headers_for(origin: str, *, method: str = "GET") -> dict[str, str]:
    asked = {"Origin": origin}
    if method == "OPTIONS":
        asked["Access-Control-Request-Method"] = "POST"
    request = Request(method, "/health/live", headers=asked)
    await request.read()
    return request.headers


async def test_a_listed_origin_may_read():
    headers = await headers_for(OURS)

    assert headers["access-control-allow-origin"] == OURS
    assert "access-control-allow-credentials" not in headers
    assert "x-request-id" in headers["access-control-expose-headers"].lower()


async def test_a_listed_origin_may_ask_before():
    headers = await headers_for(OURS, method="OPTIONS")

    assert headers["access-control-allow-origin"] == OURS
    assert "idempotency-key" in headers["access-control-allow-headers"]


async def test_openais_client_in_a_page_may_say_what_it_says_everywhere():
    answer = await headers_for(OURS, method="OPTIONS")

    allowed = answer["access-control-allow-headers"]
    assert {"x-stainless-lang", "x-stainless-retry-count"} <= set(allowed.split(", "))
    exposed = (await headers_for(OURS))["access-control-expose-headers"]
    assert "X-Should-Retry" in exposed


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "https://APP.example.com.",
        "*",
    ],
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_any_other_origin_gets_no_leave(origin, method):
    headers = await headers_for(origin, method=method)

    assert "access-control-allow-origin" not in headers


def test_nobody_is_allowed_credentials(settings):
    assert settings.CORS_ALLOW_CREDENTIALS is False
    assert not getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False)
