"""ChatGPT's `conversations.json`, as its export is documented to be."""

from __future__ import annotations

import pytest

from chat.models import Conversation, Message
from chat.services.messages import branch
from tests.chat.transfer.files import chatgpt, node, picture, random_chatgpt, tree

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("seed", range(12))
def test_a_file_with_branches_pictures_and_system_nodes_arrives_whole(take, seed):
    file, arrives = random_chatgpt(seed, 150)

    summary = take([file])

    there = tree(summary.outcomes[0].id)
    assert {text: parent for _role, text, parent in there} == arrives
    assert len(there) == len(arrives)
    assert summary.as_fields()["left_out"] == 0
    assert take([file]).as_fields() | {"conversations": None} == {
        "added": 0,
        "already_there": 1,
        "messages": 0,
        "left_out": 0,
        "conversations": None,
    }
    assert Message.objects.count() == len(arrives)


def test_a_conversation_keeps_title_times_and_marks(take):
    take(
        chatgpt(
            node("root", None),
            node("q", "root", "user", "Hi"),
            node("a", "q", "assistant", "Hello", at=1_700_000_001, model_slug="gpt-5"),
            is_archived=True,
            is_starred=True,
        )
    )

    found = Conversation.objects.get()
    question, answer = Message.objects.order_by("position")
    assert (found.title, found.title_source) == ("From ChatGPT", "auto")
    assert (found.archived, found.pinned, found.message_count) == (True, True, 2)
    assert found.created_at.timestamp() == 1_700_000_000.25
    assert found.updated_at.timestamp() == 1_700_000_060.25
    assert found.model == ""  # theirs, not one of ours
    assert (answer.model, answer.parent, answer.status) == ("gpt-5", question, "complete")
    assert (question.position, answer.position, found.last_position) == (1, 2, 2)
    assert answer.created_at.timestamp() == 1_700_000_001


def test_the_branch_that_was_open_is_the_active_one(take, alice):
    nodes = (
        node("root", None),
        node("q", "root", "user", "Hi", at=1),
        node("old", "q", "assistant", "First try", at=1_700_000_100),
        node("new", "q", "assistant", "Second try", at=1_700_000_200),
        node("end", "old", "user", "", at=1_700_000_300),
    )

    # Left at a node that holds nothing: it is the one above that people saw.
    summary = take(chatgpt(*nodes, current="end"))

    page = branch(alice, summary.outcomes[0].id, limit=10)
    assert [each["content"] for each in page.messages] == ["Hi", "First try"]


def test_thoughts_code_files_and_voice_are_read(take):
    thoughts = node("t", "q", "assistant", kind="thoughts")
    thoughts["message"]["content"] = {
        "content_type": "thoughts",
        "thoughts": [{"summary": "Adding", "content": "One and one."}],
    }
    code = node("c", "a", "assistant", kind="code")
    code["message"]["content"] = {"content_type": "code", "language": "python", "text": "1 ```"}
    voice = {"content_type": "audio_transcription", "text": "Spoken", "direction": "in"}
    summary = take(
        chatgpt(
            node("root", None),
            node("q", "root", "user", "1+1?", attachments=[{"name": "a.pdf", "mime_type": "x/y"}]),
            thoughts,
            node("a", "t", "assistant", "Two"),
            code,
            node("v", "c", "user", voice, picture(), kind="multimodal_text"),
        )
    )

    there = tree(summary.outcomes[0].id)
    assert there == [
        ("user", "1+1?\n\n[File: a.pdf]", None),
        ("assistant", "Two", "1+1?\n\n[File: a.pdf]"),
        ("assistant", "````python\n1 ```\n````", "Two"),
        ("user", "Spoken\n\n[Image]", "````python\n1 ```\n````"),
    ]
    assert Message.objects.get(content="Two").reasoning == "Adding\n\nOne and one."


def test_a_parent_that_is_told_by_its_children_alone_is_found(take):
    root, question, answer = (
        node("root", None),
        node("q", "root", "user", "Hi"),
        node("a", "q", "assistant", "Hello"),
    )
    file = chatgpt(root, question, answer)
    del answer["parent"]

    assert tree(take(file).outcomes[0].id)[1] == ("assistant", "Hello", "Hi")
