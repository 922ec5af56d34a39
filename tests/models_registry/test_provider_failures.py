"""How a provider fails, by which name that travels, and what of it is told."""

import asyncio
import logging
import socket
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

import pytest
from django.utils import timezone

from models_registry.errors import (
    ProviderBusy,
    ProviderCut,
    ProviderFailed,
    ProviderGarbled,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
)
from models_registry.providers.factory import provider_at
from models_registry.providers.failures import parse_retry_after
from tests.models_registry.asking import ask_until_failure, request, text
from tests.models_registry.upstream import CUT, HANG, RESET, Reply
from tests.models_registry.wires import endpoint_at, spoken_at

pytestmark = pytest.mark.usefixtures("clients")


@pytest.fixture(params=["openai_compatible", "anthropic", "dashscope"])
def provider(request):
    return request.param


@pytest.fixture
def wire(upstream, provider):
    return spoken_at(upstream, provider)


@pytest.fixture
def endpoint(upstream, provider):
    return endpoint_at(upstream, provider)


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, ProviderRefused, False),
        (401, ProviderRefused, False),
        (402, ProviderRefused, False),
        (403, ProviderRefused, False),
        (404, ProviderRefused, False),
        (422, ProviderRefused, False),
        (429, ProviderBusy, True),
        (500, ProviderFailed, True),
        (502, ProviderFailed, True),
        (503, ProviderFailed, True),
        (529, ProviderFailed, True),
        (302, ProviderGarbled, False),
    ],
)
async def test_a_status_has_its_error(upstream, wire, endpoint, status, kind, retryable):
    upstream.script(wire.refusal(status))

    events, failure = await ask_until_failure(endpoint)

    assert events == []
    assert type(failure) is kind
    assert (failure.upstream_status, failure.retryable) == (status, retryable)
    assert (failure.code, failure.status) == ("upstream_error", 502)


async def test_an_html_error_page_stays_where_it_is(upstream, endpoint):
    page = Reply((b"<html>nginx/1.2 at 10.0.0.7</html>",), status=502, content_type="text/html")
    upstream.script(page)

    _events, failure = await ask_until_failure(endpoint)

    assert type(failure) is ProviderFailed
    assert "nginx" not in str(failure.as_problem())


@pytest.mark.row("F14")
async def test_retry_after_is_read(upstream, wire, endpoint):
    upstream.script(wire.refusal(429, retry_after="7"))

    _events, failure = await ask_until_failure(endpoint)

    assert failure.retry_after == 7


@pytest.mark.row("F14")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "99999"}, 99999),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}, None),
        ({}, None),
    ],
)
def test_forms_of_retry_after(headers, seconds):
    """F14"""
    assert parse_retry_after(headers) == seconds


def test_retry_after_as_a_date():
    later = format_datetime(timezone.now() + timedelta(seconds=30), usegmt=False)

    seconds = parse_retry_after({"retry-after": later})

    assert seconds is not None
    assert 25 < seconds <= 30


async def test_a_refused_port(endpoint):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = replace(endpoint, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")

        events, failure = await ask_until_failure(closed)

    assert (events, type(failure)) == ([], ProviderUnreachable)
    assert failure.retryable


@pytest.mark.row("O1", "O2")
async def test_an_address_that_the_guard_closes(upstream, endpoint):
    """O2: whatever was saved, the connector refuses."""
    _events, failure = await ask_until_failure(replace(endpoint, allow_private=False))

    assert type(failure) is ProviderUnreachable
    assert upstream.connections == 0


async def test_a_name_that_does_not_resolve(endpoint):
    _events, failure = await ask_until_failure(
        replace(endpoint, base_url="http://nowhere.invalid/v1")
    )

    assert type(failure) is ProviderUnreachable


@pytest.mark.row("F9")
async def test_a_port_that_never_accepts(endpoint, settings):
    """F9: a connection that is not made is `upstream_error`, not silence."""
    settings.PROVIDER_CONNECT_SECONDS = 0.2
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        queue = [socket.socket() for _ in range(3)]
        for waiting in queue:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        try:
            _events, failure = await ask_until_failure(
                replace(endpoint, base_url=f"http://127.0.0.1:{port}/v1")
            )
        finally:
            for waiting in queue:
                waiting.close()

    assert type(failure) is ProviderUnreachable


@pytest.mark.row("F9")
@pytest.mark.parametrize(
    "reply", [Reply((HANG,), raw=True), Reply((HANG,))], ids=["before", "after its headers"]
)
async def test_a_server_that_says_nothing(upstream, endpoint, settings, reply):
    """F9"""
    settings.PROVIDER_FIRST_TOKEN_SECONDS = settings.PROVIDER_SILENCE_SECONDS = 0.2
    upstream.script(reply)

    events, failure = await ask_until_failure(endpoint)

    assert (events, type(failure)) == ([], ProviderTimeout)
    assert (failure.code, failure.status) == ("upstream_timeout", 504)


@pytest.mark.row("F9")
async def test_a_server_that_falls_silent_amid(upstream, wire, endpoint, settings):
    """F9"""
    settings.PROVIDER_FIRST_TOKEN_SECONDS = settings.PROVIDER_SILENCE_SECONDS = 0.2
    upstream.script(Reply((wire.hanging("Hi"), HANG)))

    events, failure = await ask_until_failure(endpoint)

    assert (text(events), type(failure)) == ("Hi", ProviderTimeout)


@pytest.mark.parametrize(
    "reply",
    [
        Reply((CUT,), raw=True),
        Reply((RESET,), raw=True),
        Reply((b"HTTP/1.1 200 OK\r\n", CUT), raw=True),
    ],
    ids=["cut", "reset", "cut in its headers"],
)
async def test_a_connection_lost_before_the_answer(upstream, endpoint, reply):
    upstream.script(reply)

    events, failure = await ask_until_failure(endpoint)

    assert (events, type(failure)) == ([], ProviderCut)
    assert failure.retryable


async def test_a_server_that_speaks_no_http(upstream, endpoint):
    upstream.script(Reply((b"220 mail.example ESMTP\r\n\r\n",), raw=True))

    _events, failure = await ask_until_failure(endpoint)

    assert type(failure) is ProviderGarbled


@pytest.mark.row("O6")
@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "https://example.org/"])
async def test_a_redirect_is_not_followed(upstream, endpoint, target):
    """O6"""
    upstream.script(Reply((), status=302, headers={"location": target}))

    _events, failure = await ask_until_failure(endpoint)

    assert type(failure) is ProviderGarbled
    assert len(upstream.requests) == 1


@pytest.mark.row("F10")
async def test_a_packed_answer_is_not_unpacked(upstream, endpoint):
    """F10: a bomb would be unpacked before any limit is looked at."""
    upstream.script(Reply((b"\x1f\x8b", HANG), headers={"content-encoding": "gzip"}))

    _events, failure = await ask_until_failure(endpoint)

    assert type(failure) is ProviderGarbled
    assert await upstream.chats[0].was_left()


@pytest.mark.row("F10")
async def test_of_a_refusal_only_the_beginning_is_read(upstream, endpoint, settings):
    """F10: the openai client would read the body to its end."""
    settings.PROVIDER_ERROR_BYTES = 1_000
    upstream.script(Reply((b"x" * 5_000, HANG), status=500, content_type="text/plain"))

    _events, failure = await ask_until_failure(endpoint)

    assert type(failure) is ProviderFailed
    assert await upstream.chats[0].was_left()


@pytest.mark.row("K10")
async def test_a_key_that_the_provider_echoes_is_nowhere(upstream, wire, endpoint, caplog):
    upstream.script(wire.echo(endpoint.api_key))

    with caplog.at_level(logging.DEBUG):
        _events, failure = await ask_until_failure(endpoint)

    assert endpoint.api_key not in str(failure.as_problem()) + caplog.text + repr(endpoint)
    assert "401" in caplog.text


@pytest.mark.row("K4", "K10")
async def test_a_key_of_ours_is_no_machine_word(upstream, wire, endpoint, caplog):
    """One of ours fits the form of an error's type."""
    upstream.script(wire.echo("parley-" + "Canary" * 8))

    with caplog.at_level(logging.DEBUG):
        _events, failure = await ask_until_failure(endpoint)

    assert "Canary" not in str(failure.as_problem()) + caplog.text
    assert "401" in caplog.text


@pytest.mark.row("G1")
async def test_the_prompt_is_in_no_log(upstream, wire, endpoint, caplog):
    upstream.script(wire.answer("secret answer"))

    with caplog.at_level(logging.INFO):
        await ask_until_failure(endpoint, messages=[{"role": "user", "content": "secret prompt"}])

    assert "secret" not in caplog.text


@pytest.mark.row("F15")
async def test_the_provider_sees_at_once_that_the_reader_closed(upstream, wire, endpoint):
    """F15"""
    upstream.script(Reply((wire.hanging("Hi"), HANG)))
    stream = provider_at(endpoint, upstream_name="mock").stream(request())
    await anext(stream)

    await stream.aclose()

    assert await upstream.chats[0].was_left()


@pytest.mark.row("F15")
@pytest.mark.parametrize(
    "reply",
    [Reply((HANG,), raw=True), Reply((HANG,)), None],
    ids=["before the headers", "before the text", "amid"],
)
async def test_the_provider_sees_at_once_that_the_task_was_cancelled(
    upstream, wire, endpoint, reply
):
    """F15"""
    upstream.script(reply or Reply((wire.hanging("Hi"), HANG)))
    task = asyncio.create_task(ask_until_failure(endpoint))
    await upstream.was_asked()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await upstream.chats[0].was_left()


async def test_a_connection_is_used_again(upstream, wire, endpoint):
    upstream.script(wire.answer("Hi"))

    for _ in range(3):
        await ask_until_failure(endpoint)

    assert upstream.connections == 1
