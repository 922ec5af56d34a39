"""Export, an empty deployment, import: the same tree, positions, titles and texts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.services.callers import Caller
from chat.models import Conversation, Message
from chat.services.importing import import_file
from common.text import heading
from tests.chat.transfer.files import exported, shape

pytestmark = pytest.mark.django_db(transaction=True)

_BEGAN = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)

# Whatever text a database holds; what it cannot hold never gets in.
_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
_text |= st.sampled_from(["", '"\\', "{[", "]}", "\u2028\r\n\t", "你好 世界", "🙂", "</script>"])
_tokens = st.none() | st.integers(0, 10**9)


@st.composite
def _messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Messages that hang below earlier ones, or below none, with gaps where some were deleted."""
    found: list[dict[str, Any]] = []
    position = 0
    for number in range(draw(st.integers(0, 12))):
        position += draw(st.sampled_from([1, 1, 1, 2, 7, 100_000]))
        tokens = draw(_tokens)
        rating = draw(st.sampled_from(["", "up", "down"]))
        status = draw(st.sampled_from(["complete", "stopped", "interrupted", "failed"]))
        found.append(
            {
                "parent": draw(st.none() | st.integers(0, number - 1)) if number else None,
                "position": position,
                "ended_position": draw(st.none() | st.just(position)),
                "role": draw(st.sampled_from(["system", "user", "assistant", "tool"])),
                "content": draw(_text),
                "reasoning": draw(_text),
                "status": status,
                "model": draw(st.sampled_from(["", "qwen/max:1", "通义"])),
                "fallback": draw(st.booleans()),
                "prompt_tokens": tokens,
                "completion_tokens": tokens,
                "cost": None if tokens is None else draw(st.integers(0, 10**9)) * 1_000,
                "usage_estimated": tokens is not None and draw(st.booleans()),
                "seconds": draw(st.none() | st.floats(0, 10_000)),
                "context": draw(st.none() | st.just({"messages_left_out": 3, "summarized": True})),
                "error_code": "upstream_error" if status == "failed" else "",
                "error_detail": "It broke." if status == "failed" else "",
                "rating": rating,
                "comment": draw(_text) if rating else "",
                "created_at": _BEGAN + timedelta(seconds=draw(st.integers(-9, 9))),
                "edited_at": draw(st.none() | st.just(_BEGAN)),
                "tool_calls": draw(
                    st.just([])
                    | st.just(
                        [
                            {
                                "id": "call_1",
                                "name": "search",
                                "arguments": '{"q": "你"}',
                                "result": None,
                                "status": "complete",
                                "seconds": 0.5,
                            }
                        ]
                    )
                ),
                "sources": draw(
                    st.just([])
                    | st.just([{"n": 1, "title": "T", "url": "https://x.example", "text": "…"}])
                ),
            }
        )
    return found


_conversation = st.fixed_dictionaries(
    {
        "title": _text.map(heading),
        "system_prompt": _text.filter(lambda text: not text or text.strip()),
        "parameters": st.just({}) | st.just({"temperature": 0.5, "stop": ["\n"]}),
        "archived": st.booleans(),
        "pinned": st.booleans(),
        "messages": _messages(),
    }
)


def _made(owner: Any, drawn: dict[str, Any]) -> Conversation:
    fields = {name: value for name, value in drawn.items() if name != "messages"}
    source = "user" if drawn["title"] else "none"
    conversation = Conversation.objects.create(owner=owner, title_source=source, **fields)
    rows: list[Message] = []
    for each in drawn["messages"]:
        parent = each["parent"]
        rows.append(
            Message(
                conversation=conversation,
                **each | {"parent": None if parent is None else rows[parent]},
            )
        )
    Message.objects.bulk_create(rows)
    return conversation


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=st.lists(_conversation, min_size=1, max_size=3))
def test_what_was_exported_arrives_as_it_was(alice: Caller, charlie: Caller, drawn):
    Message.objects.all().delete()
    Conversation.objects.all().delete()
    before = exported(*[_made(alice.user, each) for each in drawn])
    was_wide = [
        max((each["position"] for each in conversation["messages"]), default=0) > 5_000
        for conversation in drawn
    ]
    Message.objects.all().delete()
    Conversation.objects.all().delete()

    summary = import_file(charlie, before)

    ids = [each.id for each in summary.outcomes]
    kept = Conversation.objects.visible_to(charlie.user).in_bulk(ids)
    after = exported(*[kept[each] for each in ids])
    for old, new, wide in zip(shape(before), shape(after), was_wide, strict=True):
        if wide:  # too far apart to be kept, the order stays
            _close_up(old)
        assert new == old
    assert summary.as_fields()["left_out"] == 0


def _close_up(conversation: dict[str, Any]) -> None:
    for rank, message in enumerate(conversation["messages"], 1):
        message["position"] = rank
        if message["ended_position"] is not None:
            message["ended_position"] = rank


def test_a_repeat_adds_nothing_and_says_so(take, charlie):
    file = json.dumps(
        {
            "format": "parley.conversations",
            "version": 1,
            "conversations": [
                {"id": "a", "messages": [{"id": "1", "role": "user", "content": "Hi"}]},
                {"messages": [{"id": "1", "role": "user", "content": "Without an id"}]},
            ],
        }
    ).encode()
    first = take(file)

    again = take(file)

    assert [each.added for each in first.outcomes] == [True, True]
    assert [each.added for each in again.outcomes] == [False, False]
    assert [each.id for each in again.outcomes] == [each.id for each in first.outcomes]
    assert (Conversation.objects.count(), Message.objects.count()) == (2, 2)
    assert import_file(charlie, file).as_fields()["added"] == 2  # what others have is theirs


def test_what_one_has_is_not_added_from_ones_own_export(take, alice, conversation):
    file = exported(conversation)

    assert take(file).outcomes[0].id == conversation.pk
    assert Conversation.objects.count() == 1


def test_what_one_deleted_comes_back(take, alice, conversation):
    file = exported(conversation)
    conversation.delete()

    assert take(file).as_fields()["added"] == 1
    assert take(file).as_fields()["added"] == 0
