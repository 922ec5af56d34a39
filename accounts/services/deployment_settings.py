"""The settings of the deployment that people change while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from constance import config
from django.conf import settings

from accounts.models import AuditAction, TargetKind, User
from accounts.services import audit
from common import runtime_settings
from common.changeable import Value
from common.db import write_transaction
from common.errors import Invalid, PermissionDenied

_PERMISSION = "constance.change_config"


def may_change(user: User | None) -> bool:
    return user is not None and user.has_perm(_PERMISSION)


def shown_to(user: User | None) -> dict[str, Value]:
    """All of them for those who may change them, the public ones for everybody else."""
    whole = may_change(user)
    return {
        name: getattr(config, name)
        for name, found in settings.CHANGEABLE.items()
        if whole or found.is_public
    }


def check(changes: Mapping[str, Any]) -> None:
    """Raise Invalid, naming every field that cannot be. None is the way back to what the
    environment says."""
    errors: dict[str, list[Any]] = {}
    for name, value in changes.items():
        try:
            if value is not None or name not in settings.CHANGEABLE:
                runtime_settings.check(name, value)
        except Invalid as refusal:
            errors |= refusal.errors or {}
    if errors:
        raise Invalid(next(iter(errors.values()))[0], errors=errors)


def change(changes: Mapping[str, Any], *, actor: User | None) -> None:
    """Store all of it or nothing; other processes see it within RUNTIME_SETTINGS_SECONDS.

    `actor` None is whoever runs the deployment, by a command. Raises PermissionDenied, Invalid.
    """
    if actor is not None and not may_change(actor):
        raise PermissionDenied
    check(changes)
    with write_transaction():
        runtime_settings.forget()
        before = {name: getattr(config, name) for name in changes}
        for name, value in changes.items():
            if value is None:
                runtime_settings.unset(name)
            else:
                setattr(config, name, value)
        audit.record(
            AuditAction.SETTINGS_CHANGED,
            actor=actor,
            target=audit.Target(TargetKind.SETTINGS),
            before=before,
            after={name: getattr(config, name) for name in changes},
        )
