"""What answers a WebSocket handshake on an address that has no socket."""

from __future__ import annotations

from typing import Any


class UnroutedSocket:
    """Closes before accepting, which the client sees as 403; the router alone raises ValueError."""

    @classmethod
    def as_asgi(cls) -> Any:
        async def refuse(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.close", "code": 4404})

        return refuse
