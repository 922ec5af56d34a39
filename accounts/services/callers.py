"""Who is calling: one answer for HTTP, cookie sessions and WebSockets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import SignIn, User


@dataclass(frozen=True, slots=True)
class Caller:
    """A person, and what they came with. `scopes` None means all of the person's rights."""

    user: User
    sign_in: SignIn | None
    scopes: frozenset[str] | None = None
    expires_at: datetime | None = None

    @property
    def sender(self) -> str:
        """The key that names this caller on rows that people and contacts share."""
        return f"user:{self.user.pk}"
