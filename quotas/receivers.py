"""What happens in quotas when something happens below."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from accounts.models import ApiKey, User
from accounts.signals import credentials_ended, user_erasing
from quotas.models import Boost, Kind, PlanAssignment, QuotaWarning, SubjectLimit, Window
from quotas.services import key_limits


@receiver(user_erasing, dispatch_uid="quotas")
def forget_person(user: User, **_more: Any) -> None:
    QuotaWarning.objects.filter(user_id=user.pk).delete()
    _forget(Kind.USER, user.pk)


@receiver(post_delete, sender=ApiKey, dispatch_uid="quotas")
def forget_key(instance: ApiKey, **_more: Any) -> None:
    """Purged, or gone with its owner."""
    _forget(Kind.KEY, instance.pk)


@receiver(post_delete, sender=Group, dispatch_uid="quotas")
def forget_role(instance: Group, **_more: Any) -> None:
    _forget(Kind.GROUP, instance.pk)


@receiver(credentials_ended, dispatch_uid="quotas")
def forget_limits_of_ended_keys(user_id: UUID, **_more: Any) -> None:
    key_limits.forget_ended(user_id)


def _forget(kind: Kind, subject_id: object) -> None:
    """What is set for somebody who goes. The ledger keeps its numbers (G4): they belong to whoever
    paid."""
    of_theirs = {"kind": kind, "subject_id": str(subject_id)}
    for kept in (PlanAssignment, SubjectLimit, Boost):
        kept._default_manager.filter(**of_theirs).delete()  # noqa: SLF001 documented
    # Afterwards: windows are locked last, and theirs may be waited for by turns that end.
    transaction.on_commit(Window.objects.filter(**of_theirs).delete, robust=True)
