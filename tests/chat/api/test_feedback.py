"""What people think of the answers they got."""

from __future__ import annotations

import pytest

from chat.models import Message
from chat.services.turn_requests import send_message
from models_registry.providers.base import Finished, TextDelta
from tests.chat.api.rest import Rest
from tests.chat.conftest import Gate, read
from tests.chat.rows import chain

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pair(conversation) -> list[Message]:
    return chain(conversation, 2)


def test_an_answer_is_rated_with_and_without_a_comment(rest, pair):
    path = f"messages/{pair[1].id}"
    assert rest("get", path).json()["feedback"] is None

    first = rest("post", f"{path}/feedback", {"rating": "up"})
    second = rest("post", f"{path}/feedback", {"rating": "down", "comment": "Not true: 不对"})

    assert (first.status_code, first.json()["id"]) == (200, str(pair[1].id))
    assert first.json()["feedback"] == {"rating": "up", "comment": ""}
    kept = {"rating": "down", "comment": "Not true: 不对"}
    assert second.json()["feedback"] == rest("get", path).json()["feedback"] == kept
    listed = rest("get", f"conversations/{pair[1].conversation_id}/messages").json()["results"]
    assert [each["feedback"] for each in listed] == [None, kept]


def test_a_second_rating_replaces_the_comment_too(rest, pair):
    path = f"messages/{pair[1].id}/feedback"
    rest("post", path, {"rating": "down", "comment": "Not true"})

    assert rest("post", path, {"rating": "up"}).json()["feedback"]["comment"] == ""


def test_a_rating_is_taken_back(rest, pair):
    path = f"messages/{pair[1].id}"
    rest("post", f"{path}/feedback", {"rating": "up", "comment": "Good"})

    assert rest("delete", f"{path}/feedback").status_code == 204
    assert rest("delete", f"{path}/feedback").status_code == 204

    assert rest("get", path).json()["feedback"] is None
    assert Message.objects.get(pk=pair[1].pk).comment == ""


def test_a_question_is_not_rated(rest, pair):
    answer = rest("post", f"messages/{pair[0].id}/feedback", {"rating": "up"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize("body", [{}, {"rating": ""}, {"rating": "good"}, {"rating": None}])
def test_a_rating_is_up_or_down(rest, pair, body):
    answer = rest("post", f"messages/{pair[1].id}/feedback", body)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["rating"])


def test_a_comment_is_bounded(rest, pair, settings):
    """I8."""
    path = f"messages/{pair[1].id}/feedback"
    longest = "c" * settings.COMMENT_CHARACTERS

    assert rest("post", path, {"rating": "up", "comment": longest}).status_code == 200
    refused = rest("post", path, {"rating": "up", "comment": longest + "c"})
    assert list(refused.json()["errors"]) == ["comment"]


@pytest.mark.row("A2")
def test_another_persons_answer_does_not_exist(stranger, pair):
    for method in ("post", "delete"):
        answer = Rest(stranger)(method, f"messages/{pair[1].id}/feedback", {"rating": "up"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert Message.objects.exclude(rating="").count() == 0


def test_an_answer_that_is_being_written_keeps_its_rating_to_its_end(
    rest, alice, conversation, script
):
    gate = Gate()
    script(TextDelta("Hel"), gate, TextDelta("lo"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref

    rated = rest("post", f"messages/{ref.message_id}/feedback", {"rating": "up"})
    gate.open()

    assert rated.status_code == 200
    end = read(ref)[-1]["message"]
    assert (end["content"], end["feedback"]["rating"]) == ("Hello", "up")
