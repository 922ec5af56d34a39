"""What somebody sent, read."""

from __future__ import annotations

from typing import Any

from rest_framework.serializers import BaseSerializer


def validated(serializer: BaseSerializer[Any]) -> dict[str, Any]:
    """The fields of the serializer that was given the `data`, which is of no use afterwards; raises
    what it refuses them with.

    It holds its fields, and they hold it: what was sent, which it has, would stay in memory until a
    collection of garbage (R7).
    """
    try:
        serializer.is_valid(raise_exception=True)
        fields: dict[str, Any] = serializer.validated_data
        return fields
    finally:
        vars(serializer).clear()
