"""REST as one person calls it, through Django's test client."""

from __future__ import annotations

from typing import Any

from django.test import Client


class Rest:
    """One person's `/api/v1/`."""

    def __init__(self, token: str) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {token}"} if token else {})

    def __call__(self, method: str, path: str, body: object = None, **extra: Any) -> Any:
        path = path if path.startswith(("/", "http")) else f"/api/v1/{path}"
        if method != "get":
            extra = {"content_type": "application/json", "data": body or {}} | extra
        return getattr(self.client, method)(path, **extra)
