"""Wrong settings, told at start: an id, the variable's name, and what to do about it.

E-ids stop every start; of K12's ids the W form is shown without `PRODUCTION`, the E form stops a
start with it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from constance import config
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.db import DatabaseError
from django.utils.translation import gettext as _

from common.commands import SETTINGS_CHECKS
from common.errors import Invalid
from common.origins import parts_of
from config import env

# A name in ASCII or a number, as browsers write both.
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_KNOWN_SECRETS = ("secret", "changeme", "change-me", "django-insecure", "example", "password")


def _error(number: int, name: str, text: str, hint: str) -> CheckMessage:
    return Error(_sentence(name, text), hint=hint, id=f"parley.E{number:03}")


def _sentence(name: str, fault: str) -> str:
    return _("%(name)s: %(fault)s.") % {"name": name, "fault": fault}


@register(SETTINGS_CHECKS)
def variables(**_kwargs: Any) -> list[CheckMessage]:
    """Values that could not be read at all."""
    return [_error(1, found.name, *found.sentences()) for found in env.problems]


@register(SETTINGS_CHECKS)
def encryption_keys(**_kwargs: Any) -> list[CheckMessage]:
    if all(len(key.strip()) >= settings.SECRET_CHARACTERS for key in settings.ENCRYPTION_KEYS):
        return []
    return [
        _error(
            2,
            "ENCRYPTION_KEYS",
            _("each key needs at least %(count)d characters, separated by commas")
            % {"count": settings.SECRET_CHARACTERS},
            _("Make one with: %(command)s")
            % {"command": "python -c 'import secrets; print(secrets.token_urlsafe(48))'"},
        )
    ]


@register(SETTINGS_CHECKS)
def proxies(**_kwargs: Any) -> list[CheckMessage]:
    wrong = [proxy for proxy in settings.TRUSTED_PROXIES if not _is_network(proxy)]
    hint = _("List addresses or networks: TRUSTED_PROXIES=10.0.0.0/8,192.168.1.5.")
    text = _("%(value)s is no address")
    return [
        _error(3, "TRUSTED_PROXIES", text % {"value": repr(proxy[:100])}, hint) for proxy in wrong
    ]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


@register(SETTINGS_CHECKS)
def origins(**_kwargs: Any) -> list[CheckMessage]:
    hint = _("List exact origins: CORS_ORIGINS=https://app.example.com,https://example.com:8443.")
    text = _("%(value)s is no origin")
    wrong = [origin for origin in settings.CORS_ORIGINS if not _is_origin(origin)]
    return [
        _error(4, "CORS_ORIGINS", text % {"value": repr(origin[:100])}, hint) for origin in wrong
    ]


def _is_origin(text: str) -> bool:
    """As browsers write it, and no more: what never equals one would let nobody in."""
    parts = parts_of(text)
    if parts is None:
        return False
    scheme, host, port = parts
    if not _HOST.fullmatch(host):
        return False
    shown = f"[{host}]" if ":" in host else host
    usual = 443 if scheme == "https" else 80
    return text == f"{scheme}://{shown}" + ("" if port == usual else f":{port}")


@register(SETTINGS_CHECKS)
def single_user(**_kwargs: Any) -> list[CheckMessage]:
    """S20: whoever reaches a single user's server is its owner."""
    return [_error(*found) for found in _unfit_for_one()] if settings.SINGLE_USER else []


def _unfit_for_one() -> Iterator[tuple[int, str, str, str]]:
    public_host = urlsplit(settings.PUBLIC_URL).hostname or ""
    outward = [
        name
        for name, is_outward in (
            ("HOST", not _is_loopback(settings.HOST)),
            ("PUBLIC_URL", not _is_loopback(public_host)),
            ("TRUSTED_PROXIES", bool(settings.TRUSTED_PROXIES)),
        )
        if is_outward
    ]
    if outward and not settings.ADMIN_PASSWORD:
        named = {"names": ", ".join(outward)}
        text = _("it is for this machine alone, and %(names)s lets others in")
        hint = _("Leave %(names)s out, or set ADMIN_PASSWORD: others sign in with it.")
        yield 5, "SINGLE_USER", text % named, hint % named
    if "*" in settings.ALLOWED_HOSTS:
        text = _("with ALLOWED_HOSTS=* any web page could speak as its owner")
        hint = _("List the names that you use, or leave ALLOWED_HOSTS out.")
        yield 6, "SINGLE_USER", text, hint


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@register(checks.Tags.database)
def first_administrator(
    databases: Sequence[str] | None = None, **_kwargs: Any
) -> list[CheckMessage]:
    """The administrator that the environment names, where there is none yet."""
    if settings.SINGLE_USER or not databases or "default" not in databases:
        return []
    from accounts.services import first_admin  # noqa: PLC0415 few commands need it, and all would wait

    try:
        first_admin.check()
    except DatabaseError:
        return []  # not migrated yet
    except Invalid as refusal:
        hint = _(
            "Set ADMIN_USERNAME, ADMIN_EMAIL and ADMIN_PASSWORD, or none of them and run: "
            "manage.py create_admin"
        )
        return [
            _error(7, f"ADMIN_{field.upper()}", " ".join(map(str, texts)).rstrip(".。"), hint)
            for field, texts in (refusal.errors or {}).items()
        ]
    return []


@register(checks.Tags.database)
def overruled(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """What the environment gives and a stored value hides, once somebody changed it."""
    if not databases or "default" not in databases:
        return []
    try:
        return [
            checks.Warning(
                _("%(name)s: the stored setting %(stored)s is used instead.")
                % {"name": name.upper(), "stored": name},
                hint=_("Forget it with manage.py settings reset, or leave the variable out."),
                id="parley.W030",
            )
            for name in settings.CONSTANCE_CONFIG
            if env.raw(name.upper()) and getattr(config, name) != getattr(settings, name.upper())
        ]
    except DatabaseError:
        return []  # not migrated yet


@register(SETTINGS_CHECKS)
def production(**_kwargs: Any) -> list[CheckMessage]:
    """K12: what a public server may not do."""
    kind, letter = (Error, "E") if settings.PRODUCTION else (checks.Warning, "W")
    return [
        kind(_sentence(name, text), hint=hint, id=f"parley.{letter}{number:03}")
        for number, name, text, hint in _unfit_for_production()
    ]


def _unfit_for_production() -> Iterator[tuple[int, str, str, str]]:
    if settings.DEBUG:
        yield 20, "DEBUG", _("it shows code and settings to visitors"), _("Leave it out.")
    if "*" in settings.ALLOWED_HOSTS:
        hint = _("List the names that people use: ALLOWED_HOSTS=chat.example.com.")
        yield 21, "ALLOWED_HOSTS", _("it lets any name be served"), hint
    for name in settings.MISSING_SECRETS:
        hint = _("Set it, or %(name)s_FILE, to %(count)d random characters or more.")
        known = {"name": name, "count": settings.SECRET_CHARACTERS}
        yield 22, name, _("it is missing"), hint % known
    for name, value in (
        ("SECRET_KEY", settings.SECRET_KEY),
        *(("SECRET_KEY", key) for key in settings.SECRET_KEY_FALLBACKS),
        *(("SIGNING_KEYS", key) for key in settings.SIGNING_KEYS),
    ):
        if _is_weak(value):
            hint = _("Use %(count)d random characters or more.")
            hint %= {"count": settings.SECRET_CHARACTERS}
            yield 23, name, _("it is short or well known"), hint
    if settings.SECRET_KEY in settings.SIGNING_KEYS:
        yield 24, "SIGNING_KEYS", _("it equals SECRET_KEY"), _("Use a secret of its own.")
    if settings.PRODUCTION and not settings.PUBLIC_URL_GIVEN:
        hint = _("Set the address that people use: PUBLIC_URL=https://chat.example.com.")
        yield 25, "PUBLIC_URL", _("it is missing, and links need it"), hint


def _is_weak(secret: str) -> bool:
    is_short = len(secret.strip()) < settings.SECRET_CHARACTERS
    return is_short or secret.lower().startswith(_KNOWN_SECRETS)
