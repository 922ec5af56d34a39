"""Django's own sign-in (the admin, the pages) makes and ends our sign-ins."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.models import User
from accounts.services import sign_ins
from accounts.sessions import SIGN_IN_KEY
from common.addresses import client_address


@receiver(user_logged_in)
def bind_session(sender: object, *, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """The session that Django has just renewed becomes the cookie of a new sign-in."""
    staff = user.is_staff  # M1: 12 hours, or one without a request
    sign_in = sign_ins.open_for(
        user,
        client=request.META.get("HTTP_USER_AGENT", ""),
        address=client_address(request.META),
        seconds=settings.ADMIN_SESSION_SECONDS if staff else None,
        idle_seconds=settings.ADMIN_SESSION_IDLE_SECONDS if staff else None,
    )
    request.session[SIGN_IN_KEY] = str(sign_in.pk)


@receiver(user_logged_out)
def end_session(sender: object, *, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    """Django sends this before it flushes the session."""
    sign_in = request.session.get(SIGN_IN_KEY)
    if user is not None and sign_in:
        sign_ins.sign_out(user, actor=user, only=UUID(sign_in))
