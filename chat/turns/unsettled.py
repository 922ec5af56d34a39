"""Holds that outlived their turn. A turn's end settles its hold, so that there should be none."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.conf import settings
from django.utils import timezone

from chat.models import Turn
from chat.turns.finish import CHARACTERS_PER_TOKEN
from chat.turns.routes import route_of
from common.db import write_transaction
from models_registry.providers.base import Usage
from quotas.models import Hold
from quotas.services.holds import Used, release, settle

logger = structlog.get_logger(__name__)

_SETTLED_AT_ONCE = 500


def settle_holds() -> int:
    """Settle old open holds by the rows of their turns; how many.

    Running turns keep theirs: whoever tends a dead one settles it. Where the turn is gone nothing
    says what was used, and the hold is given back.
    """
    oldest = timezone.now() - timedelta(seconds=settings.HOLD_SWEEP_SECONDS)
    left = Hold.objects.filter(status=Hold.Status.OPEN, created_at__lt=oldest).exclude(
        turn_id__in=Turn.objects.running().values("pk")
    )
    oldest_first = left.order_by("created_at").values_list("turn_id", flat=True)
    turn_ids = list(oldest_first[:_SETTLED_AT_ONCE])
    turns = Turn.objects.select_related("message").in_bulk(turn_ids)
    for turn_id in turn_ids:
        turn = turns.get(turn_id)
        with write_transaction():
            if release(turn_id) if turn is None else settle(_used_by(turn)):
                logger.warning(
                    "A bug of Parley's: a turn had ended and not settled what was set aside for it."
                    " That is done now; please report it.",
                    turn=str(turn_id),
                )
    return len(turn_ids)


def _used_by(turn: Turn) -> Used:
    """What the turn's message says that it used; without one, our estimate."""
    route = route_of(turn)
    message = turn.message
    kept = message.usage() if message else None
    usage = (
        Usage(kept["prompt_tokens"], kept["completion_tokens"])
        if kept
        else Usage(turn.prompt_estimate, turn.characters // CHARACTERS_PER_TOKEN)
    )
    return Used(
        turn_id=turn.id,
        purpose=turn.purpose,
        model=turn.model,
        answered_by="" if turn.answering is None else route.name,
        outcome=turn.status,
        usage=usage,
        estimated=kept is None or kept["estimated"],
        prices=route.prices,
        seconds=((turn.ended_at or turn.created_at) - turn.created_at).total_seconds(),
        first_token_seconds=None,
    )
