"""Sending, reading, editing and deleting messages over REST."""

from __future__ import annotations

import asyncio

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat.models import Conversation, Message, Turn
from models_registry.errors import ModelUnavailable, ProviderFailed, ProviderTimeout
from models_registry.providers.base import Finished, TextDelta, Usage
from quotas.models import Hold, UsageRecord
from tests.asgi import Request
from tests.chat.api.rest import Rest
from tests.chat.conftest import Gate

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = {
    "id",
    "conversation_id",
    "parent_id",
    "role",
    "content",
    "reasoning",
    "tool_calls",
    "sources",
    "status",
    "model",
    "fallback",
    "usage",
    "seconds",
    "context",
    "error",
    "feedback",
    "attachments",
    "siblings",
    "created_at",
    "edited_at",
}


@pytest.fixture
def path(conversation) -> str:
    return f"conversations/{conversation.id}/messages"


async def test_a_message_is_answered_when_its_turn_has_ended(serving, token, path, script):
    script(TextDelta("Hel"), TextDelta("lo"), Finished("stop", Usage(70, 20)))

    request = Request("POST", path, token=token, body={"content": "Hi"})
    body = await request.json()

    assert request.status == 201
    assert set(body) == {"user_message", "message"}
    assert set(body["message"]) == set(body["user_message"]) == FIELDS
    assert body["message"]["content"] == "Hello"
    assert body["message"]["parent_id"] == body["user_message"]["id"]
    assert body["message"]["usage"] == {
        "prompt_tokens": 70,
        "completion_tokens": 20,
        "total_tokens": 90,
        "cost": "0.000260",
        "estimated": False,
    }


@pytest.mark.parametrize(
    ("failing", "status", "code"),
    [
        (ProviderFailed(), 502, "upstream_error"),
        (ProviderTimeout(), 504, "upstream_timeout"),
        (ModelUnavailable(), 503, "model_unavailable"),
    ],
)
async def test_a_turn_that_fails_answers_with_its_problem_and_is_kept(
    serving, token, path, script, failing, status, code
):
    for _ in range(6):
        script(failing)

    request = Request("POST", path, token=token, body={"content": "Hi"})
    problem = await request.json()

    assert (request.status, problem["code"]) == (status, code)
    assert request.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == request.headers["x-request-id"]
    kept = await Message.objects.aget(role="assistant")
    assert (kept.status, kept.error_code) == ("failed", code)
    assert (await Hold.objects.aget()).status == "settled"


@pytest.mark.row("T4")
async def test_two_tabs_at_once_are_one_turn_and_one_conflict(serving, token, path, script):
    """T4."""
    gate = Gate()
    script(gate, TextDelta("Hi"), Finished("stop"))

    tabs = [Request("POST", path, token=token, body={"content": "Hi"}) for _ in range(2)]
    done, waiting = await asyncio.wait(
        [asyncio.create_task(tab.json()) for tab in tabs], return_when=asyncio.FIRST_COMPLETED
    )
    assert [task.result()["code"] for task in done] == ["conflict"]
    gate.open()
    await asyncio.wait(waiting)

    assert sorted(tab.status for tab in tabs) == [201, 409]
    assert await Turn.objects.acount() == 1
    assert await Message.objects.acount() == 2


@pytest.mark.row("T2")
async def test_twenty_equal_requests_with_one_key_are_one_turn(serving, token, path, script):
    """T2: as JSON and as streams; one call, one record, equal answers."""
    gate = Gate()
    script(gate, TextDelta("Once"), Finished("stop"))
    headers = {"Idempotency-Key": "one"}

    plain = [
        Request("POST", path, token=token, body={"content": "Hi"}, headers=headers)
        for _ in range(10)
    ]
    streams = [
        Request("POST", f"{path}/stream", token=token, body={"content": "Hi"}, headers=headers)
        for _ in range(10)
    ]
    await asyncio.gather(*(stream.begun() for stream in streams))
    gate.open()
    answers = await asyncio.gather(*(each.json() for each in plain))
    streamed = await asyncio.gather(*(each.events() for each in streams))

    assert {each.status for each in plain} == {201}
    assert all(answer == answers[0] for answer in answers)
    assert all(events == streamed[0] for events in streamed)
    assert streamed[0][-1]["message"] == answers[0]["message"]
    assert len(script.requests) == 1
    assert await Turn.objects.acount() == 1
    assert await UsageRecord.objects.acount() == 1


@pytest.mark.row("T1")
async def test_a_key_belongs_to_its_caller_and_to_its_body(
    serving, token, stranger, charlie, model, path, script
):
    """T1: two people, two turns; another body is a conflict."""
    for _ in range(2):
        script(TextDelta("a"), Finished("stop"))
    theirs = await Conversation.objects.acreate(owner=charlie.user, model="echo")
    headers = {"Idempotency-Key": "k"}

    async def post(bearer: str, to: str, content: str) -> tuple[int, dict]:
        request = Request("POST", to, token=bearer, body={"content": content}, headers=headers)
        body = await request.json()
        return request.status, body

    first = await post(token, path, "Hi")
    second = await post(stranger, f"conversations/{theirs.id}/messages", "Hi")
    again = await post(token, path, "Hi")
    other = await post(token, path, "Something else")

    assert (first[0], second[0], again) == (201, 201, first)
    assert (other[0], other[1]["code"]) == (409, "idempotency_conflict")
    assert await Turn.objects.acount() == 2


@pytest.mark.row("I8")
@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "\x7f"])
async def test_a_key_that_is_none_is_invalid(serving, token, path, key):
    headers = {"Idempotency-Key": key}
    request = Request("POST", path, token=token, body={"content": "Hi"}, headers=headers)

    assert (await request.json())["code"] == "invalid"
    assert request.status == 400
    assert await Turn.objects.acount() == 0


@pytest.mark.row("T3")
async def test_a_refusal_is_not_remembered_with_its_key(serving, token, path, script):
    """T3."""
    headers = {"Idempotency-Key": "k"}
    refused = Request(
        "POST", path, token=token, body={"content": "Hi", "model": "nope"}, headers=headers
    )
    assert (await refused.json())["code"] == "not_found"
    assert await Message.objects.acount() == 0

    script(TextDelta("a"), Finished("stop"))
    request = Request("POST", path, token=token, body={"content": "Hi"}, headers=headers)
    await request.read()

    assert request.status == 201


@pytest.mark.row("I8")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "content"),
        ({"content": ""}, "content"),
        ({"content": " \n\t"}, "content"),
        ({"content": "x" * 100_001}, "content"),
        ({"content": 5}, "content"),
        ({"content": "Hi", "parent_id": "x"}, "parent_id"),
        ({"content": "Hi", "parent_id": 5}, "parent_id"),
        ({"content": "Hi", "model": 5}, "model"),
        ({"content": "Hi", "parameters": "x"}, "parameters"),
        ({"content": "Hi", "attachments": ["x"]}, "attachments"),
        ({"content": "Hi", "attachments": "x"}, "attachments"),
    ],
)
def test_a_wrong_field_is_named_before_anything_happens(rest, path, body, field):
    for each in (path, f"{path}/stream"):
        answer = rest("post", each, body)
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
        assert list(answer.json()["errors"]) == [field]
    assert Message.objects.count() == 0


@pytest.mark.row("I10", "I9")
@pytest.mark.parametrize("body", [b"[]", b"5", b"null", b"", b"{", b'"a"', b"\xff"])
def test_a_body_that_is_no_object_is_invalid(rest, path, body):
    answer = rest.client.generic("POST", f"/api/v1/{path}", body, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def talk(conversation: Conversation, *texts: str) -> list[Message]:
    """A straight line of finished messages, user and assistant in turn."""
    made: list[Message] = []
    for number, text in enumerate(texts, start=1):
        made.append(
            Message.objects.create(
                conversation=conversation,
                parent=made[-1] if made else None,
                role="assistant" if number % 2 == 0 else "user",
                content=text,
                position=number,
            )
        )
    Conversation.objects.filter(pk=conversation.pk).update(
        last_position=len(texts), message_count=len(texts)
    )
    return made


def test_a_branch_is_read_upward_page_by_page(rest, conversation, path):
    made = talk(conversation, *"abcdefg")

    first = rest("get", f"{path}?limit=3").json()
    assert [each["content"] for each in first["results"]] == ["e", "f", "g"]
    assert first["previous"] is None
    second = rest("get", f"{path}?limit=3&before={first['results'][0]['id']}").json()
    assert [each["content"] for each in second["results"]] == ["b", "c", "d"]
    assert str(made[1].id) in second["next"]
    third = rest("get", second["next"].partition("8000")[2]).json()
    assert [each["content"] for each in third["results"]] == ["a"]
    assert third["next"] is None


def test_another_branch_is_read_by_its_leaf_and_siblings_are_named(rest, conversation, path):
    made = talk(conversation, "a", "b", "c", "d")
    other = Message.objects.create(
        conversation=conversation, parent=made[1], role="user", content="x", position=9
    )

    active = rest("get", path).json()["results"]
    older = rest("get", f"{path}?branch={made[3].id}").json()["results"]

    assert [each["content"] for each in active] == ["a", "b", "x"]
    assert [each["content"] for each in older] == ["a", "b", "c", "d"]
    assert active[-1]["siblings"] == older[2]["siblings"] == [str(made[2].id), str(other.id)]


@pytest.mark.row("I7", "A2")
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("branch=x", 400),
        ("before=5", 400),
        ("limit=0", 400),
        ("branch=01890a5d-ac96-774b-bcce-b302099a8057", 404),
        ("before=01890a5d-ac96-774b-bcce-b302099a8057", 404),
    ],
)
def test_a_page_that_cannot_be_is_refused(rest, conversation, path, query, status):
    talk(conversation, "a")

    assert rest("get", f"{path}?{query}").status_code == status


def test_reading_a_page_costs_the_same_however_long_it_is(rest, conversation, path):
    talk(conversation, *"abcdefghij")

    counts = []
    for limit in (2, 10):
        with CaptureQueriesContext(connection) as queries:
            rest("get", f"{path}?limit={limit}")
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 5


def test_a_message_is_read_edited_and_deleted_with_what_follows(rest, conversation):
    made = talk(conversation, "a", "b", "c", "d")
    path = f"messages/{made[2].id}"

    assert rest("get", path).json()["content"] == "c"
    edited = rest("patch", path, {"content": "better"}).json()
    assert (edited["content"], edited["edited_at"] is None) == ("better", False)
    assert rest("put", path, {"content": "best"}).json()["content"] == "best"
    assert rest("patch", path, {"content": " "}).status_code == 400
    assert rest("delete", path).status_code == 204
    assert rest("get", path).status_code == 404
    left = Message.objects.order_by("position").values_list("content", flat=True)
    assert list(left) == ["a", "b"]


@pytest.mark.row("A2", "A6")
def test_another_persons_message_does_not_exist(rest, stranger, conversation):
    made = talk(conversation, "a", "b")
    theirs = Rest(stranger)

    for method, tail, body in [
        ("get", "", None),
        ("patch", "", {"content": "x"}),
        ("delete", "", None),
        ("get", "/stream", None),
        ("post", "/stop", None),
        ("post", "/regenerate", None),
    ]:
        answer = theirs(method, f"messages/{made[1].id}{tail}", body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert Message.objects.filter(content__in=["a", "b"]).count() == 2


@pytest.mark.row("A3")
async def test_a_branch_is_begun_at_an_older_message(serving, token, conversation, path, script):
    """A parent in another conversation of one's own is invalid."""
    made = await asyncio.to_thread(talk, conversation, "a", "b", "c", "d")
    elsewhere = await Conversation.objects.acreate(owner_id=conversation.owner_id, model="echo")
    foreign = await asyncio.to_thread(talk, elsewhere, "z")
    script(TextDelta("new"), Finished("stop"))

    body = {"content": "C!", "parent_id": str(made[1].id)}
    answer = await Request("POST", path, token=token, body=body).json()
    wrong = Request(
        "POST", path, token=token, body={"content": "x", "parent_id": str(foreign[0].id)}
    )

    assert answer["user_message"]["siblings"] == [str(made[2].id), answer["user_message"]["id"]]
    assert "parent_id" in (await wrong.json())["errors"]
    assert wrong.status == 400
    [(_route, asked)] = script.requests
    assert [each["content"] for each in asked.messages if each["role"] != "system"] == [
        "a",
        "b",
        "C!",
    ]
