"""Limits of one's own API keys: set as a key is made, and gone with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q

from accounts.models import ApiKey, User
from accounts.services import api_keys
from accounts.services.api_keys import NewKey
from common.db import write_transaction
from quotas.models import Boost, Kind, SubjectLimit
from quotas.services import amounts
from quotas.services.amounts import Allowance


def create(
    owner: User, *, limits: Iterable[Allowance] = (), actor: User | None, **fields: Any
) -> NewKey:
    """A key with limits of its own, which count beside its owner's. Raises as `api_keys.create`
    does, and Invalid for what is no limit."""
    wanted = amounts.check(limits)
    with write_transaction():
        made = api_keys.create(owner, **fields, actor=actor)
        SubjectLimit.objects.bulk_create(
            SubjectLimit(kind=Kind.KEY, subject_id=str(made.row.pk), **each._asdict())
            for each in wanted
        )
    return made


def of_keys(keys: Collection[ApiKey]) -> dict[UUID, list[Allowance]]:
    """The limits of each, one query for all."""
    found: dict[UUID, list[Allowance]] = defaultdict(list)
    for row in SubjectLimit.objects.filter(_of(key.pk for key in keys)):
        found[UUID(row.subject_id)].append(Allowance(row.metric, row.period, row.amount))
    return {key: amounts.check(limits) for key, limits in found.items()}


def forget_ended(user_id: UUID) -> None:
    """Drop what is set for a person's keys that were revoked; what was used with them stays in the
    ledger."""
    ended = ApiKey.objects.filter(user_id=user_id, revoked_at__isnull=False)
    theirs = _of(ended.values_list("pk", flat=True))
    SubjectLimit.objects.filter(theirs).delete()
    Boost.objects.filter(theirs).delete()


def _of(key_ids: Iterable[UUID]) -> Q:
    return Q(kind=Kind.KEY, subject_id__in=[str(each) for each in key_ids])
