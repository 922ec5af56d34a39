"""Settings that change while Parley runs: the environment first, then what is stored."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from constance import config
from constance.models import Constance

from common import runtime_settings

pytestmark = pytest.mark.django_db


def test_the_environment_gives_the_first_value_and_nothing_is_stored(settings):
    settings.REGISTRATION_OPEN = False
    settings.DEFAULT_MODEL = "gpt-x"

    assert config.registration_open is False
    assert config.default_model == "gpt-x"
    assert not Constance.objects.exists()


def test_a_stored_value_wins(settings):
    config.registration_open = False
    settings.REGISTRATION_OPEN = True

    assert config.registration_open is False


def test_values_are_read_once_in_five_seconds(settings, monkeypatch, django_assert_num_queries):
    settings.RUNTIME_SETTINGS_SECONDS = 5
    now = 1_000.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(runtime_settings, "time", clock)
    backend = runtime_settings.Backend()

    with django_assert_num_queries(1):
        assert [backend.get("registration_open") for _ in range(50)] == [True] * 50

    Constance.objects.create(
        key="registration_open", value='{"__type__": "default", "__value__": false}'
    )
    now += 4.9
    assert backend.get("registration_open") is True
    now += 0.2
    assert backend.get("registration_open") is False


def test_a_change_is_seen_at_once_where_it_was_made(settings):
    settings.RUNTIME_SETTINGS_SECONDS = 5
    backend = runtime_settings.Backend()
    assert backend.get("default_model") == ""

    backend.set("default_model", "offline")

    assert backend.get("default_model") == "offline"
