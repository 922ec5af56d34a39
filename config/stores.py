"""Where things are kept: the folder, the database, and Redis or this process's memory.

A part of `config.settings`.
"""

from __future__ import annotations

from config import env
from config.env import BASE_DIR

DATA_DIR = (BASE_DIR / env.text("DATA_DIR", "var")).resolve()

REDIS_URL = env.redis_address("REDIS_URL")
DATABASE_POOL_SIZE = env.integer("DATABASE_POOL_SIZE", 10, low=1, high=500)
DATABASES = {
    "default": env.database_config("DATABASE_URL", f"sqlite:///{DATA_DIR / 'parley.sqlite3'}")
}
_database = DATABASES["default"]
_database["CONN_MAX_AGE"] = 0  # a pool's connection goes back to it at once
if _database["ENGINE"].endswith("sqlite3"):
    # Threads are kept (common.threads): a new connection costs more than a turn's statements.
    _database["CONN_MAX_AGE"] = 60
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    _database["ENGINE"] = "common.postgresql"
    _database["CONN_HEALTH_CHECKS"] = True
    _database["OPTIONS"] = {
        **_database.get("OPTIONS", {}),
        "pool": {
            "min_size": min(2, DATABASE_POOL_SIZE),
            "max_size": DATABASE_POOL_SIZE,
            "timeout": 5,
        },
        "connect_timeout": 5,
    }
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "parley",
            "OPTIONS": {"serializer": "common.cache_serializer.JSONSerializer"},
        }
    }
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": "parley"},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    # One channel hears for all sockets of the process; what does not fit is dropped silently.
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels.layers.InMemoryChannelLayer",
            "CONFIG": {"capacity": 10_000},
        }
    }
