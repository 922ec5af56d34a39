"""G1: error reports carry no frame locals, no bodies, no words of anyone."""

from __future__ import annotations

import logging

import pytest
import sentry_sdk
from sentry_sdk.transport import Transport

from config import error_reports
from tests.asgi import Request

pytestmark = pytest.mark.row("G1")


@pytest.fixture
def sent(monkeypatch, settings):
    """What would have gone to Sentry."""
    envelopes = []

    class Kept(Transport):
        def capture_envelope(self, envelope):
            envelopes.append(envelope.serialize().decode())

    settings.SENTRY_DSN = "https://key@sentry.invalid/1"
    began = sentry_sdk.init
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: began(transport=Kept, **options))
    error_reports.start()
    yield envelopes
    began(default_integrations=False)


def test_a_bug_is_reported_without_its_particulars(sent):
    canary = "canary-in-a-local"
    try:
        int(f"canary-in-a-message {canary}")
    except ValueError:
        logging.getLogger("test").exception("A bug of %s", canary)
    sentry_sdk.flush()

    (report,) = sent
    assert "ValueError" in report
    assert "test_a_bug_is_reported_without_its_particulars" in report
    assert "canary" not in report


@pytest.mark.django_db(transaction=True)
async def test_a_request_leaves_nothing_in_the_report(sent, monkeypatch):
    def fail(*_arguments: object) -> None:
        raise LookupError("canary-message")

    monkeypatch.setattr("config.system.is_direct_loopback", fail)
    request = Request(
        "GET",
        "/metrics?q=canary-query",
        headers={"Cookie": "session=canary-cookie", "Authorization": "Bearer canary-bearer"},
    )

    assert await request.begun() == 500
    sentry_sdk.flush()

    assert any("LookupError" in report for report in sent)
    assert "canary" not in "".join(sent)
