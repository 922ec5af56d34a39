"""Which turn an `Idempotency-Key` belongs to: the same request twice is one turn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import orjson

from chat.errors import IdempotencyConflict
from chat.models import IdempotencyRecord, Message, Turn
from common.db import write_transaction

if TYPE_CHECKING:
    from uuid import UUID


class Place(Enum):
    """Where a message is put that is put nowhere: after whichever is the newest by then."""

    NEWEST = "newest"


NEWEST: Final = Place.NEWEST


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's key for one operation with one body. An empty key claims nothing.

    `fields` are the validated ones, whatever the transport, less the model: `model` is the one
    that the request names, "" for none, and `default_model` tells which that means now. Where a
    message can be placed, `fields["parent_id"]` is NEWEST for a request that places it nowhere.
    """

    sender: str
    key: str
    operation: str
    fields: dict[str, Any]
    model: str
    default_model: Callable[[], str]

    def earlier_turn(self) -> Turn | None:
        """The turn that this key began, or None; raises IdempotencyConflict for another request.

        A record that has expired is removed, so that the key can be used anew.
        """
        if not self.key:
            return None
        record = (
            IdempotencyRecord.objects.filter(sender=self.sender, key=self.key)
            .select_related("turn")
            .first()
        )
        if record is None:
            return None
        if record.is_expired():
            with write_transaction():
                record.delete()
            return None
        if record.operation != self.operation or not self._says_what_began(record):
            raise IdempotencyConflict()
        return record.turn

    def remember(self, turn_id: UUID) -> None:
        """Bind the key to a turn, in the turn's transaction; the constraint stops a second one."""
        if self.key:
            IdempotencyRecord.objects.create(
                sender=self.sender,
                key=self.key,
                operation=self.operation,
                body_hash=self._hash(self.fields, self.model),
                turn_id=turn_id,
            )

    def _says_what_began(self, record: IdempotencyRecord) -> bool:
        """The same words, or the same with the model or the place named in one of the two only.

        The words come first: a default that has changed makes a repetition no other request.
        """
        if record.body_hash == self._hash(self.fields, self.model):
            return True
        models, turn = list(self._models_like(record.turn)), record.turn
        return any(
            record.body_hash == self._hash(fields, model)
            for fields in self._fields_like(turn)
            for model in models
        )

    def _models_like(self, turn: Turn) -> Iterator[str]:
        """Ways to name the same model: this request's, and the other way if it is the same."""
        yield self.model
        if turn.model == (self.model or self.default_model()):
            yield "" if self.model else turn.model

    def _fields_like(self, turn: Turn) -> Iterator[dict[str, Any]]:
        """Ways to say the same place: after a message, or after what was newest as it began."""
        yield self.fields
        if "parent_id" not in self.fields or turn.message_id is None:
            return
        question = Message.objects.filter(children=turn.message_id).first()
        if question is None:
            return  # deleted meanwhile
        named = self.fields["parent_id"]
        if named is NEWEST and question.parent_id == _newest_before(question):
            yield self.fields | {"parent_id": question.parent_id}
        elif named == question.parent_id:
            yield self.fields | {"parent_id": NEWEST}

    def _hash(self, fields: dict[str, Any], model: str) -> str:
        body = orjson.dumps(fields | {"model": model}, option=orjson.OPT_SORT_KEYS, default=str)
        return hashlib.sha256(body).hexdigest()


def _newest_before(message: Message) -> UUID | None:
    """After what it came, had its sender named no place: of what is still there."""
    before = Message.objects.filter(
        conversation=message.conversation_id, position__lt=message.position
    )
    return before.order_by("-position").values_list("id", flat=True).first()


# A turn that nobody asks for again.
UNCLAIMED = Claim("", "", "", {}, "", str)
