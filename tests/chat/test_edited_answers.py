"""An answer that was edited is replayed as it is now, not as it was said."""

from __future__ import annotations

from chat.services.messages import edit_message
from chat.services.turn_requests import send_message, turn_of_message
from models_registry.providers.base import Finished, TextDelta
from tests.chat.conftest import read
from tests.events import text_of


def test_the_stream_of_an_edited_answer_gives_the_edited_text(alice, conversation, script):
    script(TextDelta("As it "), TextDelta("was said"), Finished("stop"))
    started = send_message(alice, conversation.id, content="Hi")
    read(started.ref)

    edit_message(alice, started.ref.message_id, "As it is now")

    found = read(turn_of_message(alice, started.ref.message_id))
    assert [event["type"] for event in found] == ["chat_start", "snapshot", "chat_complete"]
    assert text_of(found) == found[-1]["message"]["content"] == "As it is now"
