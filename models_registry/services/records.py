"""How connections and models stand in the audit trail: no keys, and nothing that a person wrote
for themselves."""

from __future__ import annotations

from typing import Any

from accounts.models import TargetKind
from accounts.services.audit import Target
from models_registry.models import ChatModel, Connection

_OF_MODELS = (
    "enabled",
    "context_window",
    "max_output_tokens",
    "input_price",
    "output_price",
    "cached_price",
)
_OF_SYSTEM_MODELS = ("name", "upstream_name", "display_name", "fallbacks")


def connection_target(connection: Connection) -> Target:
    label = connection.name if connection.owner_id is None else ""
    return Target(TargetKind.CONNECTION, connection.pk, label)


def connection_fields(connection: Connection) -> dict[str, Any]:
    fields = {
        "scope": connection.scope,
        "provider": connection.provider,
        "enabled": connection.enabled,
    }
    if connection.owner_id is None:
        fields |= {"name": connection.name, "base_url": connection.base_url}
    return fields


def model_target(model: ChatModel) -> Target:
    return Target(TargetKind.MODEL, model.pk, model.name if model.owner_id is None else "")


def model_fields(model: ChatModel) -> dict[str, Any]:
    names = _OF_MODELS + (_OF_SYSTEM_MODELS if model.owner_id is None else ())
    fields = {name: getattr(model, name) for name in names}
    return {"scope": model.scope, "connection": str(model.connection_id)} | fields
