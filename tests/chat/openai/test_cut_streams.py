"""An answer that is ended by others says so: half of it must not look like the whole (E10)."""

from __future__ import annotations

import pytest

from chat.turns.runner import runner
from common.db import in_thread
from common.streaming import open_streams
from models_registry.providers.base import TextDelta
from tests.chat.conftest import Gate
from tests.chat.openai.conftest import error_of
from tests.waiting import until

pytestmark = pytest.mark.row("E10")


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


@pytest.mark.parametrize("reason", ["shutdown", "person"])
async def test_an_answer_that_is_ended_from_outside_is_an_error_to_its_client(ask, script, reason):
    """By our own shutdown, or because the model was taken away: 503, and a frame."""
    for stream in (False, True):
        script(TextDelta("Some text"), Gate())
        request = ask(stream=stream)
        await in_thread(until)(lambda: any(each.log.last_seq for each in _running()), "it writes")
        if stream:
            assert b"assistant" in await request.chunk()

        [turn] = _running()
        runner.stop(turn.prepared.ref.turn_id, reason)

        if stream:
            rest = await request.read()
            assert b'"code":"upstream_error"' in rest
            assert rest.endswith(b"data: [DONE]\n\n")
            assert b'"finish_reason":"stop"' not in rest
        else:
            assert (await error_of(request, 503))["code"] == "upstream_error"
        await in_thread(until)(lambda: not runner.turns, "it has ended")


def _running():
    return list(runner.turns.values())
