"""Rows that many tests begin with."""

from __future__ import annotations

from chat.models import Conversation, Message


def chain(conversation: Conversation, count: int, *, content: str = "word") -> list[Message]:
    """`count` messages, each the child of the one before; people and models take turns."""
    roles = (Message.Role.USER, Message.Role.ASSISTANT)
    start = conversation.last_position
    made: list[Message] = []
    for number in range(count):
        made.append(
            Message(
                conversation=conversation,
                parent=made[-1] if made else None,
                role=roles[number % 2],
                content=f"{content} {number}",
                position=start + number + 1,
            )
        )
    Message.objects.bulk_create(made)
    conversation.last_position = start + count
    conversation.message_count += count
    conversation.save(update_fields=["last_position", "message_count"])
    return made
