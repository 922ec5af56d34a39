"""K12: what may not go to production is told at start, with a hint."""

from __future__ import annotations

import pytest
from constance import config
from django.core.checks import CheckMessage

from accounts.models import Role
from accounts.services import registration
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


@pytest.mark.row("K12")
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


@pytest.mark.row("K12")
@pytest.mark.parametrize(("setting", "value", "named"), UNFIT)
def test_each_is_an_error_in_production(settings, setting, value, named):
    sound(settings)
    setattr(settings, setting, value)

    (message,) = found()

    assert message.is_serious()
    assert message.msg.startswith(f"{named}:")
    assert message.hint
    assert str(message.id).startswith("parley.E")


@pytest.mark.row("X5")
@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "app.example.com", "ftp://a.example", "https://", "https://*.example.com"),
        *("https://a.example/", "https://a.example/x", "https://a.example?x", "https://a b"),
        *("https://me@a.example", "https://a.example:x", "https://A.example"),
        *("https://a.example:443", "http://a:80", "https://a:", "https://bücher.example"),
        *("https://a:0", "https://a:08443", "https://exa%6dple.com", "https://a<b>"),
    ],
)
def test_what_no_browser_calls_an_origin_stops_a_start(settings, origin):
    settings.CORS_ORIGINS = ["https://app.example.com", "http://[::1]:3000", origin]

    (message,) = checks.origins()

    assert (message.id, message.is_serious()) == ("parley.E004", True)
    assert repr(origin) in message.msg


def test_a_proxy_is_an_address_or_a_network(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "192.168.1.5", "::1", "*", "nginx"]

    assert [message.id for message in checks.proxies()] == ["parley.E003"] * 2


@pytest.mark.row("K12")
@pytest.mark.parametrize(("setting", "value", "named"), UNFIT[:-1])
def test_each_is_a_warning_without(settings, setting, value, named):
    sound(settings)
    settings.PRODUCTION = False
    setattr(settings, setting, value)

    (message,) = found()

    assert not message.is_serious()
    assert message.msg.startswith(f"{named}:")
    assert str(message.id).startswith("parley.W")


@pytest.mark.row("K12")
@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("keys", [["short"], [""], ["e" * 40, "x" * 31]])
def test_a_short_encryption_key_stops_every_start(settings, production, keys):
    sound(settings)
    settings.PRODUCTION = production
    settings.ENCRYPTION_KEYS = keys

    assert [message.is_serious() for message in found()] == [True]


OUTSIDE = "https://chat.example.com"


@pytest.mark.row("S20")
@pytest.mark.parametrize(
    ("setting", "value"),
    [("HOST", ANYWHERE), ("PUBLIC_URL", OUTSIDE), ("TRUSTED_PROXIES", ["127.0.0.1"])],
)
@pytest.mark.parametrize("password", ["", "given"])
def test_a_single_user_without_password_stays_at_home(settings, setting, value, password):
    """Start on 0.0.0.0 with SINGLE_USER and no password: refused."""
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


@pytest.mark.row("S20")
def test_a_single_user_names_the_hosts_that_are_served(settings):
    """DNS rebinding makes any web page the owner."""
    sound(settings)
    settings.PRODUCTION = False
    settings.SINGLE_USER, settings.ADMIN_PASSWORD = True, "given"
    settings.ALLOWED_HOSTS = ["localhost", "*"]

    assert [str(error.id) for error in checks.single_user()] == ["parley.E006"]


RUTH = {"USERNAME": "ruth", "EMAIL": "ruth@example.com", "PASSWORD": "correct horse 9"}


def administrator(settings, **given: str) -> list[str]:
    """What is said about `ADMIN_…`, less what is right in it."""
    for name in RUTH:
        setattr(settings, f"ADMIN_{name}", given.get(name, ""))
    found = checks.first_administrator(databases=["default"])
    assert {(error.id, error.is_serious(), bool(error.hint)) for error in found} <= {
        ("parley.E007", True, True)
    }
    return [error.msg for error in found]


@pytest.mark.django_db
@pytest.mark.parametrize("left_out", [{"USERNAME"}, {"EMAIL"}, {"PASSWORD"}, {"EMAIL", "PASSWORD"}])
def test_half_an_administrator_names_what_is_missing(settings, left_out):
    given = {name: value for name, value in RUTH.items() if name not in left_out}

    said = administrator(settings, **given)

    assert sorted(said) == sorted(f"ADMIN_{name}: it is missing." for name in left_out)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("USERNAME", "r"),
        ("USERNAME", "ruth ruth"),
        ("EMAIL", "example.com"),
        ("PASSWORD", "12345"),
        ("PASSWORD", "ruth@example.com"),
        ("PASSWORD", "x" * 129),
    ],
)
def test_an_administrator_who_cannot_be_is_told(settings, name, value):
    (said,) = administrator(settings, **RUTH | {name: value})

    assert said.startswith(f"ADMIN_{name}: ")
    assert name != "PASSWORD" or value not in said


@pytest.mark.django_db
def test_an_administrator_who_can_be_and_none_at_all_have_nothing_to_say(settings):
    assert administrator(settings, **RUTH) == []
    assert administrator(settings) == []


@pytest.mark.django_db
def test_once_there_is_an_administrator_what_is_left_of_one_is_no_fault(settings):
    """The documentation has the password removed after the start."""
    registration.create_person(
        username="ruth", email="r@example.com", password="correct horse 9", roles=[Role.ADMIN]
    )

    assert administrator(settings, **RUTH | {"PASSWORD": ""}) == []
    assert administrator(settings, **RUTH | {"USERNAME": "r"}) == []


def test_a_check_without_a_database_asks_none(settings):
    settings.ADMIN_USERNAME = "ruth"

    assert checks.first_administrator(databases=None) == []


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
