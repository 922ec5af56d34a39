from models_registry.admin import connections, models

__all__ = ["connections", "models"]
