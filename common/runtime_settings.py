"""Settings that people change while Parley runs: `from constance import config`.

Stored in the database; what nobody has stored is the setting of the same name in capitals, that
is, the environment's. Read often, so each process keeps what it read for a few seconds.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from constance import settings as constance_settings
from constance.backends.database import DatabaseBackend
from django.conf import settings


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
