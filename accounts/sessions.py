"""The session engine: a cookie session lives as long as the sign-in it belongs to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db.models import Q
from django.utils import timezone

from accounts.models import Session, is_session_key, live_sign_in
from accounts.services import sign_ins
from common.db import in_thread

SIGN_IN_KEY = "sign_in"


class SessionStore(DatabaseStore):
    """Django's, with each row bound to its sign-in: once that is dead, there is no session.

    So suspension, a password change or signing a device out needs no sweep over sessions, and
    whatever reads `request.session` (the admin too) sees an anonymous visitor at once.
    """

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def _validate_session_key(self, key: str | None) -> bool:
        return bool(key) and is_session_key(str(key))

    def _get_session_from_db(self) -> Session | None:
        now = timezone.now()
        alive = Q(sign_in=None) | live_sign_in(now, prefix="sign_in__")
        session = (
            Session.objects.select_related("sign_in")
            .filter(alive, session_key=self.session_key, expire_date__gt=now)
            .first()
        )
        if session is None:
            self._session_key = None
        elif session.sign_in:
            sign_ins.touch(session.sign_in)
        return session

    async def _aget_session_from_db(self) -> Session | None:
        return await in_thread(self._get_session_from_db)()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        return _bound(super().create_model_instance(data), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return _bound(await super().acreate_model_instance(data), data)


def _bound(session: object, data: dict[str, Any]) -> Session:
    assert isinstance(session, Session)  # noqa: S101 what get_model_class says
    sign_in = data.get(SIGN_IN_KEY)
    session.sign_in_id = UUID(sign_in) if sign_in else None
    return session
