"""Parameters of a model, as serializers read them."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chat.parameters import STOP_CHARACTERS, STOPS_AT_MOST, known_parameters

# What the schema says of each.
PROPERTIES: dict[str, dict[str, Any]] = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "max_tokens": {"type": "integer", "minimum": 1},
    "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2},
    "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2},
    "seed": {"type": "integer"},
    "stop": {
        "type": "array",
        "items": {"type": "string", "maxLength": STOP_CHARACTERS},
        "maxItems": STOPS_AT_MOST,
    },
}


def read_parameters(sent: dict[str, Any]) -> dict[str, Any]:
    """The known ones among `sent`, each in its range. Raises ValidationError that names each
    wrong one."""
    parameters, wrong = known_parameters(sent)
    if wrong:
        raise serializers.ValidationError(wrong)
    return parameters


@extend_schema_field({"type": "object", "properties": PROPERTIES})
class ParametersField(serializers.Field):  # type: ignore[type-arg]
    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError(_("This must be an object."))
        return read_parameters(data)

    def to_representation(self, value: Any) -> Any:
        return value
