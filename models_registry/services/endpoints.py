"""The one place where a provider's key is decrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from common.crypto import Undecryptable, decrypt
from models_registry.models import Connection
from models_registry.providers.base import Endpoint

if TYPE_CHECKING:
    from accounts.models import User


def may_reach_private(connection: Connection, user: User | None) -> bool:
    """Whether this connection's address was set by staff; a personal one is judged by its owner."""
    if settings.ALLOW_PRIVATE_UPSTREAMS or connection.owner_id is None:
        return True
    return user is not None and user.has_perm("models_registry.change_connection")


def endpoint_of(connection: Connection, user: User | None) -> Endpoint:
    """Raises Undecryptable. `user` is the owner of a personal connection."""
    key = connection.sealed_api_key
    return Endpoint(
        connection_id=connection.id,
        provider=connection.provider,
        base_url=connection.base_url,
        api_key=decrypt(key, context=connection.key_context) if key else "",
        allow_private=may_reach_private(connection, user),
    )


def opens(connection: Connection, user: User | None) -> bool:
    """Whether its stored key can be decrypted; without one there is nothing in the way."""
    try:
        endpoint_of(connection, user)
    except Undecryptable:
        return False
    return True
