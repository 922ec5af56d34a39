"""One conversation as a file."""

from __future__ import annotations

import asyncio
import json
import threading
from uuid import uuid4

import pytest
from django.http import StreamingHttpResponse
from django.utils import translation

from chat.models import Conversation, Message, Turn
from chat.services import exports
from common.downloads import download
from tests.asgi import Request
from tests.chat.rows import chain
from tests.chat.transfer.files import exported

pytestmark = pytest.mark.django_db(transaction=True)


def whole(answer) -> bytes:
    """What a streamed answer sends, read as a server does."""

    async def read() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])

    return asyncio.run(read())


def test_the_file_holds_every_branch_with_places_models_and_times(rest, conversation):
    question, answer = chain(conversation, 2)
    other = Message.objects.create(
        conversation=conversation,
        parent=question,
        role="assistant",
        content="another",
        model="echo",
        position=3,
        ended_position=4,
        prompt_tokens=7,
        completion_tokens=2,
        cost=1_250_000,
    )

    sent = rest("get", f"conversations/{conversation.id}/export?format=json")

    assert sent.status_code == 200
    assert sent["Content-Type"] == "application/json"
    name = f"conversation-{conversation.id}.json"
    assert sent["Content-Disposition"] == f'attachment; filename="{name}"'
    file = json.loads(whole(sent))
    assert (file["format"], file["version"]) == ("parley.conversations", 1)
    (found,) = file["conversations"]
    assert (found["id"], found["model"]) == (str(conversation.id), "echo")
    assert [each["id"] for each in found["messages"]] == [
        str(each.pk) for each in (question, answer, other)
    ]
    last = found["messages"][2]
    assert last["parent_id"] == str(question.pk)
    assert (last["position"], last["ended_position"], last["model"]) == (3, 4, "echo")
    assert last["usage"]["cost"] == "0.001250"
    assert last["created_at"].endswith("Z")
    assert "siblings" not in last


def test_markdown_reads_the_active_branch_then_the_others(rest, conversation):
    Conversation.objects.filter(pk=conversation.pk).update(
        title="Two\ntries", system_prompt="Be brief."
    )
    question, _first = chain(conversation, 2)
    Message.objects.create(
        conversation=conversation,
        parent=question,
        role="assistant",
        content="second",
        model="echo",
        position=3,
    )

    sent = rest("get", f"conversations/{conversation.id}/export?format=markdown")

    assert sent["Content-Type"] == "text/markdown; charset=utf-8"
    text = whole(sent).decode()
    lines = [line for line in text.splitlines() if line.startswith("#")]
    assert lines == [
        "# Two tries",
        "## System prompt",
        "## 1. User",
        "## 3. Assistant (echo)",
        "# Other branches",
        "## 2. Assistant [follows 1]",
    ]
    assert text.index("second") < text.index("word 1")


def test_its_words_are_in_the_readers_language():
    def chunks():
        yield translation.get_language().encode()

    with translation.override("zh-hans"):
        answer = download(chunks(), name="a.txt", content_type="text/plain")

    assert whole(answer) == b"zh-hans"


def test_an_answer_that_is_being_written_shows_what_was_saved(alice, conversation):
    _question, answer = chain(conversation, 2)
    Message.objects.filter(pk=answer.pk).update(status="streaming", content="")
    Turn.objects.create(
        conversation=conversation, message=answer, user=alice.user, text="so far", owner="x"
    )

    found = json.loads(exported(conversation))["conversations"][0]["messages"][1]

    assert (found["content"], found["status"]) == ("so far", "streaming")


@pytest.mark.row("R8")
def test_a_long_one_is_read_page_by_page(conversation, settings, django_assert_num_queries):
    chain(conversation, 50)
    settings.EXPORT_PAGE = 10

    with django_assert_num_queries(6):  # five pages, and none behind them
        pieces = list(exports.as_json([conversation]))

    assert max(map(len, pieces)) < sum(map(len, pieces)) / 4


def test_an_export_of_nothing_is_a_file(alice, conversation):
    assert json.loads(exported())["conversations"] == []
    assert json.loads(exported(conversation))["conversations"][0]["messages"] == []


async def test_a_reader_that_leaves_in_the_middle_leaves_no_error(serving, caplog):
    """E4: whatever the thread that makes the file is at."""
    made, goes_on = threading.Event(), threading.Event()
    ended = threading.Event()

    def chunks():
        try:
            yield b"x" * 100_000
            made.set()
            goes_on.wait(10)
            yield b"y"
        finally:
            ended.set()

    answer = download(chunks(), name="a.txt", content_type="text/plain")
    assert isinstance(answer, StreamingHttpResponse)
    reader = asyncio.create_task(_read(answer))
    await asyncio.to_thread(made.wait, 10)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    goes_on.set()
    await asyncio.to_thread(ended.wait, 10)

    assert ended.is_set()
    assert caplog.records == []


@pytest.mark.row("R5")
async def test_an_export_is_made_beside_the_event_loop():
    makers = []

    def chunks():
        for _chunk in range(3):
            makers.append(threading.get_ident())
            yield b"x"

    await _read(download(chunks(), name="a.txt", content_type="text/plain"))

    assert len(makers) == 3
    assert threading.get_ident() not in makers


async def _read(answer) -> None:
    async for _piece in answer.streaming_content:
        pass


async def test_it_is_streamed_by_the_server(serving, token, conversation):
    request = Request("GET", f"/api/v1/conversations/{conversation.id}/export", token=token)

    body = await request.read()

    assert request.status == 200
    assert "no-store" in request.headers["cache-control"]
    assert json.loads(body)["conversations"][0]["id"] == str(conversation.id)


@pytest.mark.parametrize("path", ["export", "share"])
def test_what_is_not_ones_own_does_not_exist(rest, charlie, path):
    theirs = Conversation.objects.create(owner=charlie.user)
    method = "get" if path == "export" else "post"

    for conversation_id in (theirs.id, uuid4()):
        assert rest(method, f"conversations/{conversation_id}/{path}").status_code == 404
