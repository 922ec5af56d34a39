"""Jobs of quotas."""

from __future__ import annotations

from celery import shared_task

from quotas.services import warning_mails


@shared_task
def mail_quota_warnings() -> None:
    """Write to people who want it that a limit comes to its end."""
    warning_mails.mail_warnings()
