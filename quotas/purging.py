"""What of quotas runs out, and is purged: copies and notices. The ledger stays."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from common import purging
from quotas.models import QuotaWarning, Window


def windows() -> QuerySet[Window]:
    """Windows that nobody asks for any more."""
    before = timezone.now() - timedelta(seconds=settings.WINDOW_KEEP_SECONDS)
    return Window.objects.filter(ends_at__lt=before)


def warnings() -> QuerySet[QuotaWarning]:
    before = timezone.now() - timedelta(seconds=settings.QUOTA_WARNING_KEEP_SECONDS)
    return QuotaWarning.objects.filter(created_at__lt=before)


purging.register("windows of limits", windows)
purging.register("quota warnings", warnings)
