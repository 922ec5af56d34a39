"""I1, I2: a body is judged while it arrives, and never touches the disk."""

from __future__ import annotations

import asyncio
import json

import pytest

from config.body_limits import limit_of
from tests.asgi import Request


class Upload(Request):
    """A request whose body is sent piece by piece, without a Content-Length."""

    def __init__(self, path: str, **headers: str) -> None:
        super().__init__(
            "POST",
            path,
            headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked", **headers},
        )
        self.inbox.get_nowait()

    def piece(self, body: bytes, *, last: bool = False) -> None:
        self.inbox.put_nowait({"type": "http.request", "body": body, "more_body": not last})


@pytest.mark.row("I1")
@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/v1/conversations", 1 << 20),
        ("/nothing", 1 << 20),
        ("/v1/chat/completions", 10 << 20),
        ("/api/v1/attachments", 20 << 20),
        ("/api/v1/conversations/import", 50 << 20),
        ("/api/v1/conversations/importer", 1 << 20),
    ],
)
def test_each_kind_of_address_has_its_limit(path, limit):
    assert limit_of(path) == limit


@pytest.mark.row("I1")
@pytest.mark.parametrize("path", ["/api/v1/auth/login", "/nothing", "/", "/admin/login/"])
async def test_a_body_without_end_is_cut_off(path, tmp_path, monkeypatch):
    """I1: chunked 1 GiB to any URL: ended by 2 x limit, no file in the temp folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    upload = Upload(path)
    sent = 0
    while not upload.task.done() and sent < 1 << 30:
        upload.piece(b"x" * (64 << 10))
        sent += 64 << 10
        await asyncio.sleep(0)

    assert await upload.begun() == 413
    assert upload.headers["connection"] == "close"
    assert upload.headers["content-type"] == "application/problem+json"
    found = await upload.json()
    assert found["code"] == "payload_too_large"
    assert found["request_id"] == upload.headers["x-request-id"]
    assert sent <= 3 << 20
    assert list(tmp_path.iterdir()) == []


@pytest.mark.row("I1")
async def test_a_declared_length_over_the_limit_is_refused_at_once():
    request = Request("POST", "/api/v1/auth/login", headers={"Content-Length": str(1 << 40)})

    assert await request.begun() == 413


@pytest.mark.row("I2")
async def test_a_slow_body_ends_with_408(settings):
    """I2: 1 byte a second: closed."""
    settings.BODY_SECONDS = 0.05
    upload = Upload("/api/v1/auth/login")
    upload.piece(b"{")

    assert await upload.begun() == 408
    assert upload.headers["connection"] == "close"
    assert (await upload.json())["code"] == "invalid"


@pytest.mark.django_db(transaction=True)
async def test_a_chunked_body_is_read_like_any_other():
    """DRF alone would take it for no body at all."""
    upload = Upload("/api/v1/auth/login")
    whole = json.dumps({"username": "nobody", "password": "x"}).encode()
    for byte in whole[:-1]:
        upload.piece(bytes([byte]))
    upload.piece(whole[-1:], last=True)

    found = await upload.json()

    assert found["code"] == "invalid_credentials"


async def test_a_client_that_leaves_is_no_error(caplog):
    upload = Upload("/api/v1/auth/login")
    upload.piece(b"{")
    upload.inbox.put_nowait({"type": "http.disconnect"})

    await upload.ended()

    assert upload.outbox.empty()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_length_in_foreign_digits_is_no_number():
    request = Request("POST", "/api/v1/auth/login", headers={"Content-Length": "²"})

    assert await request.begun() < 500
