"""What of chat runs out, and is purged (G5). The logs of turns go by themselves: a row's text with
the turn's end, a stream in Redis after TURN_LOG_REDIS_SECONDS."""

from __future__ import annotations

from chat.models import IdempotencyRecord
from chat.models.conversations import MessageQuerySet
from chat.services import importing
from common import purging

purging.register("idempotency answers", IdempotencyRecord.objects.expired)
purging.register(
    "messages of broken imports",
    lambda: importing.messages_of(importing.abandoned()),
    by=MessageQuerySet.erase,
    order=importing.LEAVES_FIRST,
)
purging.register("broken imports", importing.abandoned)
