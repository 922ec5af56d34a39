from models_registry.models.chat_model import ChatModel
from models_registry.models.connection import Connection, EnvironmentProvider

__all__ = ["ChatModel", "Connection", "EnvironmentProvider"]
