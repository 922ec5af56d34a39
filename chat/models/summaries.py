"""What stands for the part of a branch that a model's window has no room for."""

from __future__ import annotations

from django.db import models

from chat.models.conversations import Conversation, Message
from common.models import Record


class Summary(Record):
    """A model's summary of the path from the root to `message`, on every branch through it.

    It goes with an edit or the deletion of any message that it covers.
    """

    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="summaries"
    )
    message = models.OneToOneField(Message, on_delete=models.DO_NOTHING, related_name="summary")
    text = models.TextField()

    def __str__(self) -> str:
        return str(self.id)
