"""Models that keep failing rest for a while; one probe decides whether they are back.

In this process only: each process finds out for itself, at the price of a failed try.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings


@dataclass(slots=True)
class _State:
    failures: int = 0
    resting_until: float = 0.0
    probing_since: float | None = None


_states: dict[UUID, _State] = {}
_lock = threading.Lock()


def admit(model_id: UUID) -> bool:
    """Whether a turn may try this model now.

    After the rest exactly one caller gets True, the probe; it must report `failed` or
    `succeeded`. A probe that never reports is replaced after another rest.
    """
    now = time.monotonic()
    with _lock:
        state = _states.get(model_id)
        if state is None or state.failures < settings.PROVIDER_COOLDOWN_FAILURES:
            return True
        if now < state.resting_until:
            return False
        lost = settings.PROVIDER_COOLDOWN_SECONDS
        if state.probing_since is not None and now - state.probing_since < lost:
            return False
        state.probing_since = now
        return True


def failed(model_id: UUID) -> None:
    """A try failed for a reason that is the model's or its server's (`retryable` errors)."""
    now = time.monotonic()
    with _lock:
        state = _states.setdefault(model_id, _State())
        state.failures += 1
        state.probing_since = None
        if state.failures >= settings.PROVIDER_COOLDOWN_FAILURES:
            state.resting_until = now + settings.PROVIDER_COOLDOWN_SECONDS


def succeeded(model_id: UUID) -> None:
    with _lock:
        _states.pop(model_id, None)


def released(model_id: UUID) -> None:
    """The try ended without a verdict (stopped, refused by us): the next caller may probe."""
    with _lock:
        if state := _states.get(model_id):
            state.probing_since = None


def clear() -> None:
    """Forget everything; for tests and for a changed connection."""
    with _lock:
        _states.clear()
