from chat.models.conversations import Conversation, Message
from chat.models.turns import IdempotencyRecord, Turn

__all__ = ["Conversation", "IdempotencyRecord", "Message", "Turn"]
