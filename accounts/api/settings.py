"""The deployment's settings as serializers: one field for each that `config.settings` lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from rest_framework import serializers

from common.api.fields import LineField, SwitchField, WholeNumberField
from common.changeable import Changeable


def _shown(found: Changeable) -> serializers.Field[Any, Any, Any, Any]:
    """Without bounds: those are of what may be stored, and the environment says what it likes."""
    options: dict[str, Any] = {"required": False, "help_text": found.label}
    if found.kind is bool:
        return SwitchField(**options)
    if found.kind is int:
        return WholeNumberField(**options)
    return LineField(allow_blank=found.may_be_empty, **options)


def _changed(found: Changeable) -> serializers.Field[Any, Any, Any, Any]:
    options: dict[str, Any] = {"required": False, "allow_null": True, "help_text": found.label}
    if found.kind is bool:
        return SwitchField(**options)
    if found.kind is int:
        return WholeNumberField(min_value=found.low, max_value=found.high, **options)
    return LineField(max_length=found.characters, allow_blank=found.may_be_empty, **options)


def _serializer(
    name: str, field: Callable[[Changeable], serializers.Field[Any, Any, Any, Any]]
) -> type[serializers.Serializer[Any]]:
    fields = {each: field(found) for each, found in settings.CHANGEABLE.items()}
    return type(name, (serializers.Serializer,), fields)


# Those that are not public are shown to who may change them, and missing for others.
SettingsSerializer = _serializer("SettingsSerializer", _shown)
SettingsChangesSerializer = _serializer("SettingsChangesSerializer", _changed)
