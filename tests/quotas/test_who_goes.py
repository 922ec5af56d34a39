"""Whoever or whatever goes takes along what was set for it; the ledger stays (G4)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts.models import ApiKey
from accounts.services import people
from common import purging
from quotas.models import (
    Boost,
    Kind,
    Payer,
    PlanAssignment,
    QuotaWarning,
    SubjectLimit,
    UsageRecord,
    Window,
)
from quotas.services import granting
from quotas.services.subjects import Subject
from tests.quotas.rows import assign, begin, end, limited, plan


def furnish(kind, subject_id):
    """One of each kind of row, and a window that never ends by itself."""
    limited(kind, subject_id, "requests", "total", 5)
    granting.grant(Subject(kind, str(subject_id)), "requests", 3, period="total", actor=None)
    if kind != Kind.KEY:
        assign(kind, subject_id, plan("Team"))


def left(kind):
    tables = (SubjectLimit, Boost, PlanAssignment, Window)
    return [model for model in tables if model.objects.filter(kind=kind).exists()]


def test_a_role_that_is_deleted(mina):
    group = Group.objects.create(name="night shift")
    mina.groups.add(group)
    furnish(Kind.GROUP, group.pk)
    end(begin(Payer(mina.pk)))
    assert len(left(Kind.GROUP)) == 4

    group.delete()

    assert left(Kind.GROUP) == []
    assert UsageRecord.objects.count() == 1


def test_a_key_that_ran_out_and_is_purged(mina, key, settings):
    """Nobody revoked it, so that nobody heard of its end."""
    furnish(Kind.KEY, key.pk)
    end(begin(Payer(mina.pk, key_id=key.pk)))
    assert len(left(Kind.KEY)) == 3
    long_ago = timezone.now() - timedelta(days=settings.API_KEY_DAYS, hours=1)
    ApiKey.objects.update(expires_at=long_ago)

    purging.purge()

    assert not ApiKey.objects.exists()
    assert left(Kind.KEY) == []
    assert UsageRecord.objects.count() == 1


@pytest.mark.row("G4")
def test_a_person_who_is_erased_and_their_keys(mina, key):
    furnish(Kind.USER, mina.pk)
    furnish(Kind.KEY, key.pk)
    for _turn in range(7):
        end(begin(Payer(mina.pk, key_id=key.pk)))
    assert QuotaWarning.objects.exists()

    people.erase(mina, actor=None)

    assert left(Kind.USER) == left(Kind.KEY) == []
    assert not QuotaWarning.objects.exists()
    assert UsageRecord.objects.count() == 7
