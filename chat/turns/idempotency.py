"""Which turn an `Idempotency-Key` belongs to: the same request twice is one turn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.utils import timezone

from chat.errors import IdempotencyConflict
from chat.models import IdempotencyRecord, Turn
from common.db import write_transaction

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's key for one operation with one body. An empty key claims nothing."""

    sender: str
    key: str
    operation: str
    body_hash: str

    @classmethod
    def of(cls, sender: str, key: str, operation: str, fields: dict[str, Any]) -> Claim:
        """`fields` are the validated ones with defaults filled in, whatever the transport."""
        body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS, default=str)
        return cls(sender, key, operation, hashlib.sha256(body).hexdigest())

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
        if (record.operation, record.body_hash) != (self.operation, self.body_hash):
            raise IdempotencyConflict()
        return record.turn

    def remember(self, turn_id: UUID) -> None:
        """Bind the key to a turn, in the turn's transaction; the constraint stops a second one."""
        if self.key:
            IdempotencyRecord.objects.create(
                sender=self.sender,
                key=self.key,
                operation=self.operation,
                body_hash=self.body_hash,
                turn_id=turn_id,
            )


def expired() -> QuerySet[IdempotencyRecord]:
    """Records whose time is over, and with them the answers that they keep (G5)."""
    oldest = timezone.now() - timedelta(seconds=settings.IDEMPOTENCY_SECONDS)
    return IdempotencyRecord.objects.filter(created_at__lt=oldest)
