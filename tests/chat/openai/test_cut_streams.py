"""A stream that is cut says so: half an answer must not look like a whole one (E10)."""

from __future__ import annotations

from common.streaming import open_streams
from models_registry.providers.base import TextDelta
from tests.chat.conftest import Gate


async def test_a_stream_whose_credential_has_ended_ends_with_an_error(ask, script):
    script(TextDelta("Some text"), Gate())
    request = ask(stream=True)
    assert b"assistant" in await request.chunk()

    [stream] = open_streams
    stream.cut()  # as the look at sign-ins and keys does
    rest = await request.read()

    assert b'"error"' in rest
    assert rest.endswith(b"data: [DONE]\n\n")
    assert b'"finish_reason":"stop"' not in rest
