"""R11: metrics for whoever may have them, with labels that are bounded."""

from __future__ import annotations

import pytest

from common import metrics
from tests.asgi import Request

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.row("R11")]


def from_loopback(**headers: str) -> Request:
    request = Request("GET", "/metrics", headers=headers)
    request.scope["client"] = ("127.0.0.1", 5000)
    return request


async def test_a_direct_loopback_peer_may_read():
    request = from_loopback()

    text = (await request.read()).decode()

    assert request.status == 200
    assert "django_http_responses_total_by_status_view_method_total" in text
    assert "parley_active_sockets" in text
    assert "parley_event_loop_lag_seconds" in text


@pytest.mark.row("R11")
@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host", "Via"]
)
async def test_a_proxied_peer_may_not(header):
    """R11: through the shipped nginx: 401."""
    request = from_loopback(**{header: "127.0.0.1"})

    assert await request.begun() == 401
    assert request.headers["content-type"] == "application/problem+json"


async def test_a_stranger_may_not():
    assert await Request("GET", "/metrics").begun() == 401


async def test_the_token_opens_from_anywhere_and_is_needed_everywhere(settings):
    settings.METRICS_TOKEN = "metrics-token-1234"
    right = {"Authorization": "Bearer metrics-token-1234"}

    assert await Request("GET", "/metrics", headers=right).begun() == 200
    assert await from_loopback().begun() == 401
    assert await from_loopback(Authorization="Bearer wrong").begun() == 401
    assert await from_loopback(Authorization="Basic metrics-token-1234").begun() == 401


async def test_labels_are_bounded():
    for number in range(5):
        await Request(f"MADE{number}", f"/made-up-{number}").read()

    text = (await from_loopback().read()).decode()

    assert "MADE" not in text
    assert "made-up" not in text
    assert 'method="<invalid method>"' in text


def test_so_many_models_have_a_name_and_the_rest_is_other(monkeypatch):
    monkeypatch.setattr(metrics, "_models", set())

    names = {metrics.model_label(f"model-{number}") for number in range(500)}

    assert len(names) == 101
    assert "other" in names
