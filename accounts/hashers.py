"""Argon2 that cannot eat the machine (S10)."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

from common.errors import RateLimited


@functools.cache
def _slots(number: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(number)


@contextmanager
def hashing_slot() -> Iterator[None]:
    """One of the few places at the hasher; raises RateLimited when none came free in time."""
    slots = _slots(settings.PASSWORD_HASHES_AT_ONCE)
    if not slots.acquire(timeout=settings.PASSWORD_HASH_WAIT_SECONDS):
        raise RateLimited(retry_after=settings.PASSWORD_HASH_WAIT_SECONDS)
    try:
        yield
    finally:
        slots.release()


class BoundedArgon2Hasher(Argon2PasswordHasher):
    """Argon2id as RFC 9106 recommends where memory is dear: 64 MiB, three passes. One lane, where
    Django has eight: lanes are threads, and four sign-ins would push the event loop aside.

    The bound is here, under everything, so that no road to a hash goes around it.
    """

    time_cost = 3
    memory_cost = 64 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with hashing_slot():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with hashing_slot():
            return super().verify(password, encoded)
