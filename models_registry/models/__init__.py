from models_registry.models.chat_model import ChatModel
from models_registry.models.connection import Connection, EnvironmentProvider
from models_registry.models.price import ModelPrice, Price

__all__ = ["ChatModel", "Connection", "EnvironmentProvider", "ModelPrice", "Price"]
