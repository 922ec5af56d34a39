from chat.admin import conversations, shares, turns

__all__ = ["conversations", "shares", "turns"]
