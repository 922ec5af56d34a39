"""Jobs of accounts. The database holds the truth: a lost job is found by the next sweep (T7)."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from celery import shared_task
from django.dispatch import receiver
from kombu.exceptions import OperationalError

from accounts.services import mails
from accounts.signals import mail_waiting

logger = logging.getLogger(__name__)


@shared_task
def send_mail(mail_id: str) -> None:
    """Send one letter; sent already, or taken by another worker, is no failure."""
    mails.deliver(UUID(mail_id))


@shared_task
def send_waiting_mail() -> None:
    """Send what a lost job or a refusing mail server left behind."""
    for mail_id in mails.waiting():
        mails.deliver(mail_id)


@receiver(mail_waiting)
def send_soon(sender: object, *, mail_id: UUID, **kwargs: Any) -> None:
    try:
        send_mail.apply_async((str(mail_id),), retry=False)
    except OperationalError:
        logger.warning(
            "The broker is away: a letter waits for the next sweep. See to the Redis of REDIS_URL."
        )
