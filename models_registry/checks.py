"""What `manage.py check --database default` says about connections (SECURITY K7) and models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from constance import config
from django.core import checks
from django.db import DatabaseError
from django.utils.translation import gettext as _

from models_registry.models import Connection
from models_registry.services.endpoints import opens
from models_registry.services.routing import system_model


@checks.register(checks.Tags.database)
def undecryptable_keys(
    databases: Sequence[str] | None = None, **_kwargs: Any
) -> list[checks.CheckMessage]:
    """A warning for each connection whose key no one of ENCRYPTION_KEYS opens."""
    if not databases or "default" not in databases:
        return []
    try:
        return [
            checks.Warning(
                _("The key of connection %(id)s (%(name)s) cannot be decrypted.")
                % {"id": connection.pk, "name": connection.name},
                hint=_(
                    "Bring the old secret back into ENCRYPTION_KEYS, or enter the key again. "
                    "Until then its models are unavailable."
                ),
                obj=connection,
                id="models_registry.W001",
            )
            for connection in undecryptable_connections()
        ]
    except DatabaseError:
        return []  # not migrated yet


@checks.register(checks.Tags.database)
def unknown_models(
    databases: Sequence[str] | None = None, **_kwargs: Any
) -> list[checks.CheckMessage]:
    """A warning for each setting that names a model which is not there, or is switched off.

    A setting that is changed at run time is refused then; the environment's value, and a model
    that goes later, are only told.
    """
    if not databases or "default" not in databases:
        return []
    try:
        named = {name: getattr(config, name) for name in ("default_model", "title_model")}
        return [
            checks.Warning(
                _("%(name)s: no system model %(model)s is switched on.")
                % {"name": name.upper(), "model": repr(model[:100])},
                hint=_("Name one that manage.py model list shows. Until then another one is used."),
                id="models_registry.W002",
            )
            for name, model in named.items()
            if model and system_model(model) is None
        ]
    except DatabaseError:
        return []  # not migrated yet


def undecryptable_connections() -> list[Connection]:
    return [
        connection
        for connection in Connection.objects.exclude(sealed_api_key="").order_by("id")
        if not opens(connection, None)
    ]
