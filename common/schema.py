"""The OpenAPI schema of every view."""

from __future__ import annotations

from drf_spectacular.openapi import AutoSchema as SpectacularSchema


class AutoSchema(SpectacularSchema):  # type: ignore[no-untyped-call]
    pass
