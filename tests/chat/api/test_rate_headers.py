"""Whatever begins a turn says how many more may begin: whole, streamed, and on `/v1`."""

from __future__ import annotations

import pytest

from models_registry.providers.base import Finished, TextDelta
from tests.asgi import Request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/conversations/{id}/messages", {"content": "Hi"}, 201),
        ("/api/v1/conversations/{id}/messages/stream", {"content": "Hi"}, 200),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}, 200),
    ],
)
async def test_an_answer_tells_of_turns_beside_requests(
    serving, token, conversation, script, settings, path, body, status
):
    settings.RATES = settings.RATES | {"turns_user": [(1, 60)]}
    script(TextDelta("Hello"), Finished("stop"))
    body = body | {"model": conversation.model}

    for expected in (status, 429):
        request = Request("POST", path.format(id=conversation.id), token=token, body=body)
        await request.read()

        assert request.status == expected
        assert '"api";q=3000;w=60' in request.headers["ratelimit-policy"]
        assert '"turns";q=1;w=60' in request.headers["ratelimit-policy"]
        assert '"turns";r=0;t=' in request.headers["ratelimit"]
