"""What every WebSocket of Parley keeps to: frames, limits, sending, closing."""

from common.sockets.consumer import Identity, SocketConsumer
from common.sockets.registry import sockets

__all__ = ["Identity", "SocketConsumer", "sockets"]
