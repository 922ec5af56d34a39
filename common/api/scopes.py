"""Which scopes of an API key reach a view (K3)."""

from __future__ import annotations

from dataclasses import dataclass

from rest_framework.permissions import SAFE_METHODS

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class KeyScopes:
    """A key needs any one of these: `safe` to look, `unsafe` for whatever changes something.

    Where there are none, no key gets through.
    """

    safe: frozenset[str] = _NONE
    unsafe: frozenset[str] = _NONE

    @property
    def any(self) -> frozenset[str]:
        return self.safe | self.unsafe

    def of(self, method: str | None) -> frozenset[str]:
        return self.safe if method in SAFE_METHODS else self.unsafe


NO_KEY = KeyScopes()
