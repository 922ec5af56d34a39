"""What the scopes of an API key reach. A view that names none of these takes no key (K3)."""

from __future__ import annotations

from accounts.models import Scope
from common.api.scopes import KeyScopes

_READ, _CHAT = Scope.READ.value, Scope.CHAT.value

# One's own usage, limits and statistics.
READING = KeyScopes(safe=frozenset({_READ}))
# Conversations, messages and turns. Who may chat may read what was said.
CHATTING = KeyScopes(safe=frozenset({_READ, _CHAT}), unsafe=frozenset({_CHAT}))
# What one can chat with; nobody's to change by a key.
CHOOSING = KeyScopes(safe=frozenset({_READ, _CHAT}))
