"""D3: no pickle in the cache, the sessions, the jobs or the channel layer."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads
from redis import Redis

from common.cache_serializer import JSONSerializer
from config.celery import app
from tests import needs

pytestmark = pytest.mark.row("D3")


class Trap:
    """What a forged pickle would do when it is read."""

    def __reduce__(self):
        return (Path("/tmp/parley-was-here").touch, ())  # noqa: S108 never made


def test_a_forged_pickle_is_rejected():
    with pytest.raises(ValueError, match=r"."):
        JSONSerializer().loads(pickle.dumps(Trap()))

    assert not Path("/tmp/parley-was-here").exists()  # noqa: S108


@needs.redis
def test_one_that_is_planted_in_redis_is_rejected():
    cache.set("planted", "value")
    with Redis.from_url(settings.REDIS_URL) as store:
        (key,) = store.keys("*planted*")
        store.set(key, pickle.dumps(Trap()))

    with pytest.raises(ValueError, match=r"."):
        cache.get("planted")
    assert not Path("/tmp/parley-was-here").exists()  # noqa: S108


def test_one_among_the_jobs_is_rejected():
    forged = base64.b64encode(pickle.dumps(Trap()))

    with pytest.raises(ContentDisallowed):
        loads(forged, "application/x-python-serialize", "binary", accept={"application/json"})
    assert app.conf.accept_content == app.conf.result_accept_content == ["json"]


def test_the_channel_layer_speaks_none():
    kinds = {layer["BACKEND"] for layer in settings.CHANNEL_LAYERS.values()}

    assert kinds <= {
        "channels.layers.InMemoryChannelLayer",
        "channels_redis.pubsub.RedisPubSubChannelLayer",
        "channels_redis.core.RedisChannelLayer",
    }
    for layer in settings.CHANNEL_LAYERS.values():
        assert layer.get("CONFIG", {}).get("serializer_format", "msgpack") in {"msgpack", "json"}


@pytest.mark.parametrize("value", ["text", 5, 1.5, True, None, {"a": [1]}, ["x"]])
def test_values_survive(value):
    serializer = JSONSerializer()
    stored = serializer.dumps(value)

    assert serializer.loads(stored if isinstance(stored, bytes) else str(stored).encode()) == value


def test_jobs_take_json_only():
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == app.conf.result_serializer == "json"


def test_sessions_are_json():
    assert settings.SESSION_SERIALIZER.endswith("JSONSerializer")
