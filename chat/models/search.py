"""What search looks through."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from accounts.models import User
from chat.models.conversations import Conversation, Message
from common.search import IndexedWordsField, Query


class SearchPieceQuerySet(models.QuerySet["SearchPiece"]):
    def found_by(self, user: User, text: str) -> SearchPieceQuerySet:
        """Pieces of `user` that hold what is looked for, of texts that are still there."""
        query = Query.of(text, owner_id=user.pk)
        if not query:
            return self.none()
        of_title = Q(message=None, conversation__title_indexed=True)
        of_message = Q(message__conversation=F("conversation"))
        return self.filter(of_title | of_message, words__holds=query)


class SearchPiece(models.Model):
    """The words of a title (`message` null) or of a message, or a part of a long one.

    No foreign keys in the database: rows are written and removed under the conversation's lock,
    and a check of each row would lock the transcript besides.
    """

    conversation = models.ForeignKey(
        Conversation, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    message = models.ForeignKey(
        Message, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", null=True
    )
    words = IndexedWordsField()

    objects = SearchPieceQuerySet.as_manager()

    def __str__(self) -> str:
        return str(self.pk)
