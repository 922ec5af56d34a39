"""Settings that people change while Parley runs: `from constance import config`.

Stored in the database; what nobody has stored is the setting of the same name in capitals, that
is, the environment's. Read often, so each process keeps what it read for a few seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from constance import config
from constance import settings as constance_settings
from constance.backends.database import DatabaseBackend
from constance.models import Constance
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from common.changeable import Value
from common.errors import Invalid

Check = Callable[[Value], None]

_checks: dict[str, Check] = {}


class Backend(DatabaseBackend):  # type: ignore[misc]  # Constance has no types
    """Constance's database backend with one read of all values every RUNTIME_SETTINGS_SECONDS.

    Its own `get` answers one value a query, and stores a default whenever one is read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = {}
        self._read_at = -float("inf")

    def get(self, key: str) -> Any:
        stored = self._stored().get(key)
        if stored is not None:
            return stored
        return getattr(settings, key.upper(), constance_settings.CONFIG[key][0])

    async def aget(self, key: str) -> Any:
        from common.db import in_thread  # noqa: PLC0415 this module loads with Django's apps

        return await in_thread(self.get)(key)

    def set(self, key: str, value: Any) -> None:
        super().set(key, value)
        self.forget()
        # Whoever read in between, past the transaction, has kept the old value.
        transaction.on_commit(self.forget)

    def forget(self) -> None:
        """Read anew at the next look."""
        with self._lock:
            self._read_at = -float("inf")

    def _stored(self) -> dict[str, Any]:
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= settings.RUNTIME_SETTINGS_SECONDS:
                self._kept = self.mget(list(constance_settings.CONFIG))
                self._read_at = now
            return self._kept


def checked_by(name: str) -> Callable[[Check], Check]:
    """Decorates what raises Invalid for a value that only an app can judge."""

    def register(check: Check) -> Check:
        _checks[name] = check
        return check

    return register


def check(name: str, value: Any) -> None:
    """Raise Invalid where there is no such setting, or it cannot hold this."""
    changeable = settings.CHANGEABLE.get(name)
    if changeable is None:
        raise Invalid.field(name, _("There is no such setting."))
    sound: Value = changeable.check(name, value)
    if name in _checks:
        _checks[name](sound)


def stored() -> set[str]:
    """Names of those that somebody stored."""
    known = settings.CHANGEABLE.keys()
    return set(Constance.objects.filter(key__in=known).values_list("key", flat=True))


def unset(name: str) -> None:
    """Back to the environment's value."""
    Constance.objects.filter(key=name).delete()
    forget()
    transaction.on_commit(forget)


def forget() -> None:
    """Have this process read anew at the next look."""
    config._backend.forget()  # noqa: SLF001 Constance has no other way to its backend
