"""Letters about limits that come to their end, for people who want them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.models import User
from accounts.services import mails
from common.db import write_transaction
from quotas.models import Metric, Period, QuotaWarning

# What somebody sets to true in their `preferences` who wants these letters.
PREFERENCE = "quota_mails"
_AT_ONCE = 1_000


def mail_warnings() -> int:
    """Post a letter for each warning that nobody was written to about; how many.

    A limit by the minute is not worth a letter, and whoever does not want any gets none: these
    warnings are done with at once.
    """
    waiting = list(QuotaWarning.objects.filter(mailed=False).order_by("id")[:_AT_ONCE])
    people = User.objects.active().in_bulk({each.user_id for each in waiting})
    wanted = [each for each in waiting if _is_wanted(each, people.get(each.user_id))]
    done_with = {each.pk for each in waiting} - {each.pk for each in wanted}
    QuotaWarning.objects.filter(pk__in=done_with).update(mailed=True)
    return [_post(each, people[each.user_id]) for each in wanted].count(True)


def _is_wanted(warning: QuotaWarning, user: User | None) -> bool:
    if user is None or warning.limit["period"] == Period.MINUTE:
        return False
    return user.preferences.get(PREFERENCE) is True


def _post(warning: QuotaWarning, user: User) -> bool:
    """Once, whoever else does the same; False where it was somebody else."""
    with write_transaction(), override(user.language or settings.LANGUAGE_CODE):
        mine = QuotaWarning.objects.filter(pk=warning.pk, mailed=False).update(mailed=True)
        if mine:
            told = _told(warning, user)
            subject = _("%(percent)d %% of a limit at Parley is used") % told
            body = render_to_string("quotas/mail/quota_warning.txt", told)
            mails.post_notice(user, subject=subject, body=body)
    return bool(mine)


def _told(warning: QuotaWarning, user: User) -> dict[str, Any]:
    limit = warning.limit
    resets_at = limit["resets_at"]
    return {
        "name": mails.one_line(user.name),
        "site": settings.PUBLIC_URL,
        "percent": warning.percent,
        "metric": Metric(limit["metric"]).label,
        "period": Period(limit["period"]).label,
        "used": limit["used"],
        "limit": limit["limit"],
        "is_own": limit["subject"] == "user",
        "resets_at": _moment(resets_at, user) if resets_at else "",
    }


def _moment(text: str, user: User) -> str:
    """By the clock of the person."""
    with timezone.override(user.timezone or settings.TIME_ZONE):
        at = timezone.localtime(datetime.fromisoformat(text))
        return f"{date_format(at, 'DATETIME_FORMAT')} ({at.tzname()})"
