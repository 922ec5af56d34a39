from chat.models.conversations import Conversation, Message
from chat.models.search import SearchPiece
from chat.models.shares import Share
from chat.models.summaries import Summary
from chat.models.turns import IdempotencyRecord, Turn

__all__ = [
    "Conversation",
    "IdempotencyRecord",
    "Message",
    "SearchPiece",
    "Share",
    "Summary",
    "Turn",
]
