"""`config.settings` with a channel layer that loses whatever it is given."""

from __future__ import annotations

from typing import Any

from channels.layers import InMemoryChannelLayer

from config.settings import *  # noqa: F403


class Deaf(InMemoryChannelLayer):
    async def send(self, channel: str, message: dict[str, Any]) -> None:
        pass

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        pass


CHANNEL_LAYERS = {"default": {"BACKEND": "tests.faults.layers.Deaf"}}
