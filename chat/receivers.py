"""What chat does when an app below tells it something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.dispatch import receiver

from accounts.signals import user_erasing
from chat.models import IdempotencyRecord
from chat.services.conversations import delete_conversations_of

if TYPE_CHECKING:
    from accounts.models import User


@receiver(user_erasing, dispatch_uid="chat")
def erase_conversations(user: User, **_kwargs: Any) -> None:
    """Part of the erasing transaction: conversations, turns in flight, kept answers."""
    delete_conversations_of(user)
    IdempotencyRecord.objects.filter(sender=f"user:{user.pk}").delete()
