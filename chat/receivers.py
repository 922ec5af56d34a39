"""What chat does when an app below tells it something."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.dispatch import receiver

from accounts.signals import credentials_ended, user_erasing
from chat.models import IdempotencyRecord, Turn
from chat.services.conversations import delete_conversations_of
from chat.services.stopping import stop_turns_of
from chat.streams import nudges
from chat.streams.mirror.forgetting import forget_logs
from chat.terminal import history
from models_registry.signals import models_removed
from quotas.signals import quota_warned

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import User
    from quotas.models import QuotaWarning


@receiver(user_erasing, dispatch_uid="chat")
def erase_conversations(user: User, **_kwargs: Any) -> None:
    """Part of the erasing transaction: conversations, turns in flight, kept answers, logs."""
    delete_conversations_of(user)
    # Now that none runs any more; what an owner writes until it hears of that, it takes back.
    over = list(Turn.objects.over_with_log(user).values_list("pk", flat=True))
    transaction.on_commit(partial(forget_logs, over), robust=True)
    IdempotencyRecord.objects.filter(sender=f"user:{user.pk}").delete()
    # A file cannot be rolled back.
    transaction.on_commit(partial(history.forget, user.pk), robust=True)


@receiver(models_removed, dispatch_uid="chat")
def stop_what_they_answer(model_ids: frozenset[UUID], **_kwargs: Any) -> None:
    """Access that is gone ends the turn that uses it."""
    stop_turns_of(model_ids)


@receiver(credentials_ended, dispatch_uid="chat")
def have_sockets_look(user_id: UUID, **_kwargs: Any) -> None:
    """Sockets close within a second; where the nudge is lost, at the next look."""
    nudges.credentials_ended(user_id)


@receiver(quota_warned, dispatch_uid="chat")
def tell_sockets(warning: QuotaWarning, **_kwargs: Any) -> None:
    """At once; where the nudge is lost, sockets find it at their next look."""
    nudges.quota_warned(warning)
