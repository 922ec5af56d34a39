"""What happens in quotas when something happens below."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.dispatch import receiver

from accounts.models import ApiKey, User
from accounts.signals import credentials_ended, user_erasing
from quotas.models import Boost, Kind, PlanAssignment, QuotaWarning, SubjectLimit, Window
from quotas.services import key_limits


@receiver(user_erasing, dispatch_uid="quotas")
def erase_limits(user: User, **_more: Any) -> None:
    """The ledger keeps its numbers (G4): they belong to whoever paid."""
    key_limits.forget(ApiKey.objects.filter(user=user))
    of_theirs = {"kind": Kind.USER, "subject_id": str(user.pk)}
    for kept in (PlanAssignment, SubjectLimit, Boost):
        kept._default_manager.filter(**of_theirs).delete()  # noqa: SLF001 documented
    QuotaWarning.objects.filter(user_id=user.pk).delete()
    # Afterwards: windows are locked last, and theirs may be waited for by turns that end.
    transaction.on_commit(Window.objects.filter(**of_theirs).delete, robust=True)


@receiver(credentials_ended, dispatch_uid="quotas")
def forget_limits_of_keys(user_id: UUID, **_more: Any) -> None:
    key_limits.forget_ended(user_id)
