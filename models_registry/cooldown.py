"""Models that keep failing rest for a while; one probe decides whether they are back.

In this process only: each process finds out for itself, at the price of a failed try. What failed
is a model at an endpoint: with another key or address of its connection it is asked at once.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from models_registry.providers.base import Endpoint, Route


@dataclass(slots=True)
class _State:
    endpoint: Endpoint
    failures: int = 0
    resting_until: float = 0.0
    probing_since: float | None = None


_states: dict[UUID, _State] = {}
_lock = threading.Lock()


def admit(route: Route) -> bool:
    """Whether a turn may try this model now.

    After the rest exactly one caller gets True, the probe; it must report `failed` or
    `succeeded`. A probe that never reports is replaced after another rest.
    """
    now = time.monotonic()
    with _lock:
        state = _state_of(route)
        if state is None or state.failures < settings.PROVIDER_COOLDOWN_FAILURES:
            return True
        if now < state.resting_until:
            return False
        lost = settings.PROVIDER_COOLDOWN_SECONDS
        if state.probing_since is not None and now - state.probing_since < lost:
            return False
        state.probing_since = now
        return True


def failed(route: Route) -> None:
    """A try failed for a reason that is the model's or its server's (`retryable` errors)."""
    now = time.monotonic()
    with _lock:
        state = _state_of(route)
        if state is None:
            state = _states[route.model_id] = _State(route.endpoint)
        state.failures += 1
        state.probing_since = None
        if state.failures >= settings.PROVIDER_COOLDOWN_FAILURES:
            state.resting_until = now + settings.PROVIDER_COOLDOWN_SECONDS


def succeeded(route: Route) -> None:
    with _lock:
        if _state_of(route):
            del _states[route.model_id]


def released(route: Route) -> None:
    """The try ended without a verdict (stopped, refused by us): the next caller may probe."""
    with _lock:
        if state := _state_of(route):
            state.probing_since = None


def clear() -> None:
    """Forget everything; for tests."""
    with _lock:
        _states.clear()


def _state_of(route: Route) -> _State | None:
    state = _states.get(route.model_id)
    return state if state is not None and state.endpoint == route.endpoint else None
