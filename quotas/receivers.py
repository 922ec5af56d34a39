"""What happens in quotas when something happens below."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import user_erasing
from quotas.models import Boost, Kind, PlanAssignment, QuotaWarning, SubjectLimit, Window


@receiver(user_erasing, dispatch_uid="quotas")
def erase_limits(user: User, **_more: Any) -> None:
    """The ledger keeps its numbers (G4): they belong to whoever paid."""
    of_theirs = {"kind": Kind.USER, "subject_id": str(user.pk)}
    for kept in (PlanAssignment, SubjectLimit, Boost):
        kept._default_manager.filter(**of_theirs).delete()  # noqa: SLF001 documented
    QuotaWarning.objects.filter(user_id=user.pk).delete()
    # Afterwards: windows are locked last, and theirs may be waited for by turns that end.
    transaction.on_commit(Window.objects.filter(**of_theirs).delete, robust=True)
