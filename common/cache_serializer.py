"""What the Redis cache stores: JSON, never pickle (D3)."""

from __future__ import annotations

from typing import Any

import orjson


class JSONSerializer:
    """Django's cache serializer protocol. Numbers stay bare, so that Redis can count them."""

    def dumps(self, value: Any) -> Any:
        return value if type(value) is int else orjson.dumps(value)

    def loads(self, data: Any) -> Any:
        return orjson.loads(data)
