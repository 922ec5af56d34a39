"""Every route while everything below it fails: what is told is the request's id, and no more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError
from django.db.backends.utils import CursorWrapper

from tests.asgi import Request, Socket
from tests.chat.conftest import _no_turn_left, script
from tests.chat.serving import serving
from tests.walk_table import FRAMES, ROUTES
from tests.walk_world import world

__all__ = ["_no_turn_left", "script", "serving", "world"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.row("G3")]

WORDS = 'relation "canary_table" in SELECT canary_column at /srv/canary/module.py, line 7'
FAILURES = [
    (ProgrammingError(WORDS), 500),
    (OperationalError(WORDS), 503),
]


def failing(failure: Exception) -> Any:
    def execute(*_arguments: Any, **_named: Any) -> None:
        raise failure

    return execute


@pytest.mark.parametrize(("failure", "status"), FAILURES, ids=lambda each: type(each).__name__)
async def test_no_route_tells_what_failed(world, monkeypatch, failure, status):
    failed = 0
    with monkeypatch.context() as below:
        below.setattr(CursorWrapper, "execute", failing(failure))
        for route in ROUTES:
            token = "" if route.open else world.holder(route)
            body = world.fill(route.body) if route.body is not None else None
            headers = dict(route.headers)
            request = Request(
                route.method, world.path(route), token=token, body=body, headers=headers
            )
            told = await request.read()

            assert b"canary" not in told, route
            if request.status < 500:
                assert route.open, (route, told)  # it needs no database
                continue
            failed += 1
            # Health is asked whether it is up, and says so.
            assert request.status == (503 if route.pattern.startswith("health") else status), route
            assert type(failure).__name__.encode() not in told
            assert b"Traceback" not in told
            if "problem" in request.headers["content-type"]:
                assert json.loads(told)["request_id"] == request.headers["x-request-id"]

    assert failed > 60


@pytest.mark.parametrize(("failure", "_status"), FAILURES, ids=lambda each: type(each).__name__)
async def test_no_frame_tells_what_failed(world, monkeypatch, failure, _status):
    for path, frames in FRAMES.items():
        async with Socket(path, token=world.access) as socket:
            await socket.quiet()
            with monkeypatch.context() as below:
                below.setattr(CursorWrapper, "execute", failing(failure))
                for frame in frames:
                    if frame.type in {"ping", "typing"}:  # they ask for nothing or say nothing
                        continue
                    told = await socket.ask(
                        {"type": frame.type, **world.fill(frame.fields), "ref": "r"}
                    )

                    assert (told["type"], told["ref"]) == ("error", "r")
                    assert told["code"] in {"internal", "unavailable"}
                    assert "canary" not in json.dumps(told)
