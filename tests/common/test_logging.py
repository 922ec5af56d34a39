"""G1, G2: what a log line may say, and that it is one line."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisAway

from common.logging import OneLineAnOutage, configure
from tests.asgi import Request, Socket

FORGED = "anna\nERROR all is lost\r\x1b[31mred\u2028end"


@pytest.fixture(params=["console", "json"])
def logs(request):
    """What is written in one of the two forms."""
    for name in ("channels_redis.pubsub", "celery.worker.consumer.consumer"):
        logging.getLogger(name).filters.clear()  # it remembers what it said
    configure({"level": "INFO", "format": request.param})
    written = io.StringIO()
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    configure(settings.LOGGING)


def lines(logs: io.StringIO) -> list[str]:
    return logs.getvalue().splitlines()


@pytest.mark.row("G2")
def test_text_from_outside_starts_no_line(logs):
    """G2: username `a\\nERROR x`."""
    logging.getLogger("test").warning("Hello %s", FORGED)
    structlog.get_logger("test").warning("hello", name=FORGED)

    assert len(lines(logs)) == 2
    assert not any(line.startswith("ERROR") for line in lines(logs))
    assert "\x1b" not in logs.getvalue()


@pytest.mark.row("G1")
def test_a_bug_shows_its_place_and_no_values(logs):
    """Reports carry no frame locals."""
    password = "hunter-" + "2" * 8
    try:
        len(password) / 0
    except ZeroDivisionError:
        logging.getLogger("test").exception("A bug")

    assert "test_logging.py" in logs.getvalue()
    assert password not in logs.getvalue()


@pytest.mark.row("G1", "K4")
def test_no_line_holds_a_key_whoever_wrote_it(logs):
    """In the text, in a field, in the message of an exception."""
    key = "parley-" + "Canary" * 8
    try:
        {}[key]
    except KeyError:
        logging.getLogger("test").exception("A bug of %s", key)
    structlog.get_logger("test").warning(key, word=key, **{"sk-" + "Canary" * 4: {"deep": [key]}})

    assert "parley-…" in logs.getvalue()
    assert "Canary" not in logs.getvalue()


@pytest.mark.row("G1", "G2")
@pytest.mark.django_db(transaction=True)
async def test_a_request_is_one_line_without_its_secrets(logs):
    """No query, no header, no body; the request's id is there."""
    request = Request(
        "POST",
        "/api/v1/auth/login?token=canary-query",
        body={"username": "canary-name", "password": "canary-password"},
        headers={
            "X-Request-ID": "request-abcd",
            "Cookie": "session=canary-cookie",
            "Authorization": "Bearer canary-bearer",
        },
    )
    await request.read()

    (line,) = [line for line in lines(logs) if "parley.request" in line]
    assert "request-abcd" in line
    assert "/api/v1/auth/login" in line
    assert str(request.status) in line
    assert "canary" not in logs.getvalue()


@pytest.mark.row("G2")
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/v1/auth/login?token=canary", {"Content-Length": str(1 << 40)}, 413),
        ("/nothing", {"Transfer-Encoding": "chunked"}, 408),
        ("/static/parley/page.css", {}, 200),
    ],
)
async def test_what_is_answered_before_django_is_one_line_too(
    logs, settings, path, headers, status
):
    """I1, I2: with the id that the answer carries."""
    settings.BODY_SECONDS = 0.05
    request = Request("POST" if status > 400 else "GET", path, headers=headers)
    if status == 408:
        request.inbox.get_nowait()

    await request.begun()

    (line,) = [line for line in lines(logs) if "parley.request" in line]
    assert request.status == status
    assert request.headers["x-request-id"] in line
    assert path.partition("?")[0] in line
    assert str(status) in line
    assert "canary" not in logs.getvalue()


@pytest.mark.row("G1", "G2")
async def test_a_handshake_that_is_refused_is_one_line(logs):
    socket = Socket("/ws/nothing", extensions={"websocket.http.response": {}})

    answer = await socket.sent()

    (line,) = [line for line in lines(logs) if "parley.request" in line]
    assert dict(answer["headers"])[b"x-request-id"].decode() in line
    assert "404" in line


@pytest.mark.django_db(transaction=True)
async def test_a_shared_link_is_not_written_down(logs):
    await Request("GET", "/share/canary-token").read()

    assert "/share/" in logs.getvalue()
    assert "canary" not in logs.getvalue()


def test_json_lines_are_json():
    configure({"level": "INFO", "format": "json"})
    written = io.StringIO()
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)

    structlog.get_logger("test").info("hello", name="Zürich")
    configure(settings.LOGGING)

    found = json.loads(written.getvalue())
    assert (found["event"], found["name"], found["level"]) == ("hello", "Zürich", "info")


def outage(error: Exception, *, at: float) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("channels_redis.pubsub", logging.ERROR, "", 0, "Oh", (), info)
    record.created = at
    return record


@pytest.mark.row("G2")
def test_an_outage_of_redis_is_a_line_a_minute(logs):
    """The library writes a traceback a second."""
    quiet = OneLineAnOutage()
    records = [outage(RedisAway("secret"), at=1_000 + second) for second in range(121)]

    passed = [record for record in records if quiet.filter(record)]

    assert [record.created for record in passed] == [1_000, 1_060, 1_120]
    assert {record.getMessage() for record in passed} == {
        "Redis is away (ConnectionError). See to the Redis of REDIS_URL."
    }
    assert not any(record.exc_info for record in passed)


@pytest.mark.row("G2")
def test_celery_is_quiet_about_outages_too(logs):
    """Its worker writes two lines every two seconds, and wants no traceback for it."""
    text = "consumer: Cannot connect to %s: %s.\n%s\n"
    told = ("redis://:**@127.0.0.1:9/3", OperationalError("secret"), "Trying again")
    logger = logging.getLogger("celery.worker.consumer.consumer")
    for second in range(3):
        record = logging.LogRecord(logger.name, logging.ERROR, "", 0, text, told, None)
        record.created = 8e9 + second
        logger.handle(record)

    written = logs.getvalue()
    assert written.count("Redis is away") == 1
    assert "Cannot connect" not in written


def test_channels_redis_is_quiet_about_outages_alone(logs):
    logger = logging.getLogger("channels_redis.pubsub")
    logger.handle(outage(RedisAway("secret"), at=9e9))
    logger.handle(outage(RedisAway("secret"), at=9e9 + 1))
    logger.handle(outage(ZeroDivisionError("a bug"), at=9e9 + 2))

    written = logs.getvalue()
    assert written.count("Redis is away") == 1
    assert "a bug" in written
    assert "secret" not in written
