"""D3: no pickle in the cache, the sessions, the jobs or the channel layer."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from django.conf import settings

from common.serializer import JSONSerializer
from config.celery import app


class Trap:
    """What a forged pickle would do when it is read."""

    def __reduce__(self):
        return (Path("/tmp/parley-was-here").touch, ())  # noqa: S108 never made


def test_a_forged_pickle_is_rejected():
    with pytest.raises(ValueError, match=r"."):
        JSONSerializer().loads(pickle.dumps(Trap()))

    assert not Path("/tmp/parley-was-here").exists()  # noqa: S108


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
