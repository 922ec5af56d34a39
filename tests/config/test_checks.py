"""K12: what may not go to production is told at start, with a hint."""

from __future__ import annotations

import pytest
from constance import config
from django.core.checks import CheckMessage

from config import checks, start


def sound(settings) -> None:
    settings.PRODUCTION = True
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["chat.example.com"]
    settings.MISSING_SECRETS = []
    settings.SECRET_KEY = "s" * 40
    settings.SECRET_KEY_FALLBACKS = []
    settings.SIGNING_KEYS = ["t" * 40]
    settings.ENCRYPTION_KEYS = ["e" * 40]
    settings.PUBLIC_URL_GIVEN = True
    settings.PUBLIC_URL = "http://localhost:8000"


def found() -> list[CheckMessage]:
    return [*checks.production(), *checks.encryption_keys(), *checks.single_user()]


def test_a_sound_production_has_nothing_to_say(settings):
    sound(settings)

    assert found() == []


ANYWHERE = "0.0.0.0"  # noqa: S104

UNFIT = [
    ("DEBUG", True, "DEBUG"),
    ("ALLOWED_HOSTS", ["*"], "ALLOWED_HOSTS"),
    ("MISSING_SECRETS", ["ENCRYPTION_KEYS"], "ENCRYPTION_KEYS"),
    ("SECRET_KEY", "short", "SECRET_KEY"),
    ("SECRET_KEY", "changeme" * 8, "SECRET_KEY"),
    ("SECRET_KEY_FALLBACKS", ["short"], "SECRET_KEY"),
    ("SIGNING_KEYS", ["t" * 40, "short"], "SIGNING_KEYS"),
    ("SIGNING_KEYS", ["s" * 40], "SIGNING_KEYS"),
    ("PUBLIC_URL_GIVEN", False, "PUBLIC_URL"),
]


@pytest.mark.parametrize(("setting", "value", "named"), UNFIT)
def test_each_is_an_error_in_production(settings, setting, value, named):
    sound(settings)
    setattr(settings, setting, value)

    (message,) = found()

    assert message.is_serious()
    assert message.msg.startswith(f"{named}:")
    assert message.hint
    assert str(message.id).startswith("parley.E")


@pytest.mark.parametrize(("setting", "value", "named"), UNFIT[:-1])
def test_each_is_a_warning_without(settings, setting, value, named):
    sound(settings)
    settings.PRODUCTION = False
    setattr(settings, setting, value)

    (message,) = found()

    assert not message.is_serious()
    assert message.msg.startswith(f"{named}:")
    assert str(message.id).startswith("parley.W")


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("keys", [["short"], [""], ["e" * 40, "x" * 31]])
def test_a_short_encryption_key_stops_every_start(settings, production, keys):
    sound(settings)
    settings.PRODUCTION = production
    settings.ENCRYPTION_KEYS = keys

    assert [message.is_serious() for message in found()] == [True]


OUTSIDE = "https://chat.example.com"


@pytest.mark.parametrize(
    ("setting", "value"),
    [("HOST", ANYWHERE), ("PUBLIC_URL", OUTSIDE), ("TRUSTED_PROXIES", ["127.0.0.1"])],
)
@pytest.mark.parametrize("password", ["", "given"])
def test_a_single_user_without_password_stays_at_home(settings, setting, value, password):
    """S20: start on 0.0.0.0 with SINGLE_USER and no password: refused."""
    sound(settings)
    settings.SINGLE_USER = True
    settings.ADMIN_PASSWORD = password
    assert found() == []

    setattr(settings, setting, value)

    assert [str(error.id) for error in found()] == ["parley.E005"] * (password == "")
    assert all(setting in f"{error.msg} {error.hint}" for error in found())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_single_user_is_at_home_on_any_loopback(settings, host):
    sound(settings)
    settings.SINGLE_USER = True
    settings.HOST = host

    assert found() == []


def test_a_single_user_names_the_hosts_that_are_served(settings):
    """S20: DNS rebinding makes any web page the owner."""
    sound(settings)
    settings.PRODUCTION = False
    settings.SINGLE_USER, settings.ADMIN_PASSWORD = True, "given"
    settings.ALLOWED_HOSTS = ["localhost", "*"]

    assert [str(error.id) for error in checks.single_user()] == ["parley.E006"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "stored", "told"),
    [("false", True, True), ("false", False, False), ("", True, False), ("false", None, False)],
    ids=["another", "the same", "not given", "nothing stored"],
)
def test_a_given_value_that_a_stored_one_hides_is_told(settings, monkeypatch, given, stored, told):
    """ARCHITECTURE 6: the stored one wins, also when somebody closes registration by variable."""
    monkeypatch.setenv("REGISTRATION_OPEN", given)
    settings.REGISTRATION_OPEN = not given
    if stored is not None:
        config.registration_open = stored
    said: list[str] = []

    start.name_overruled(said.append)

    assert [line.split(" the ")[0] for line in said] == ["parley.W030 REGISTRATION_OPEN:"] * told
