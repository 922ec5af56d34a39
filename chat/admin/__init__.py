from chat.admin import conversations, turns

__all__ = ["conversations", "turns"]
