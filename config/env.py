"""The environment, read once: `NAME`, or a file named by `NAME_FILE`.

A value that cannot be read never raises here. It is noted in `problems`, its default is used, and
`config.checks` turns the note into a system check with an id and a hint, so that a wrong setting
ends a start with a sentence and not with a traceback.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import environ

_env = environ.FileAwareEnv()

_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f"})
# What stands in links as it is; a name in another script has a form in ASCII too (xn--…).
_WEB_ADDRESS = re.compile(
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9._-]*)(:[0-9]+)?(/[a-z0-9~_-][a-z0-9._~-]*)*/?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one variable, and what to do about it."""

    name: str
    text: str
    hint: str


problems: list[Problem] = []


def note(name: str, text: str, hint: str) -> None:
    problems.append(Problem(name, text, hint))


def raw(name: str) -> str:
    """The variable without surrounding space; unset and empty are the same."""
    try:
        value = _env.get_value(name, default="")
    except (OSError, UnicodeDecodeError):
        note(name, f"the file that {name}_FILE names cannot be read", "Check its path and rights.")
        return ""
    return str(value).strip()


def text(name: str, default: str = "", *, choices: tuple[str, ...] = ()) -> str:
    value = raw(name) or default
    if choices and value not in choices:
        note(name, f"{value[:100]!r} is not one of its values", f"Use {' or '.join(choices)}.")
        return default
    return value


def switch(name: str, *, default: bool) -> bool:
    value = raw(name).lower()
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        note(name, f"{value[:100]!r} is neither true nor false", "Use true or false.")
        return default
    return value in _TRUE


def integer(name: str, default: int, *, low: int, high: int) -> int:
    return int(_number(name, default, low=low, high=high, kind=int))


def number(name: str, default: float, *, low: float, high: float) -> float:
    return float(_number(name, default, low=low, high=high, kind=float))


def seconds(name: str, default: float, *, low: float = 0.05, high: float = 86_400) -> float:
    return number(name, default, low=low, high=high)


def _number(name: str, default: float, *, low: float, high: float, kind: type) -> float:
    value = raw(name)
    if not value:
        return default
    hint = f"Use a number from {low:g} to {high:g}; the default is {default:g}."
    try:
        found = kind(value)
    except ValueError:
        note(name, f"{value[:100]!r} is not a number", hint)
        return default
    if not low <= found <= high:
        note(name, f"{value[:100]} is out of range", hint)
        return default
    return float(found) if kind is float else int(found)


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma separated list."""
    return [word for part in raw(name).split(",") if (word := part.strip())] or list(default)


def web_address(name: str, default: str = "") -> str:
    """An http(s) origin, with or without a path, without the closing slash."""
    value = raw(name)
    if not value:
        return default
    try:
        parts = urlsplit(value)
        sound = bool(_WEB_ADDRESS.fullmatch(value)) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        note(name, "it is not a web address", f"For example {name}=https://chat.example.com.")
        return default
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}".rstrip("/")


def report_address(name: str) -> str:
    """Where Sentry takes reports: `https://key@host/project`."""
    value = raw(name)
    try:
        parts = urlsplit(value)
        sound = bool(parts.hostname and parts.username and parts.path.strip("/"))
    except ValueError:
        sound = False
    if value and not sound:
        note(name, "it is not an address of Sentry", f"For example {name}=https://key@host/1.")
        return ""
    return value


def time_zone(name: str, default: str) -> str:
    value = raw(name) or default
    try:
        zoneinfo.ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        note(name, "it is no time zone of the IANA database", f"For example {name}=Europe/Berlin.")
        return default
    return value


def email_config(name: str) -> dict[str, Any]:
    """Django's e-mail settings from one address; the console without one."""
    try:
        return dict(_env.email_url_config(raw(name) or "consolemail://"))
    except Exception:  # noqa: BLE001 the parser raises whatever it meets
        note(name, "it is not an e-mail address of a server", f"For example {name}=smtp://…:587.")
        return dict(_env.email_url_config("consolemail://"))


def database_config(name: str, default: str) -> dict[str, Any]:
    """Django's settings for one database; SQLite and PostgreSQL are the two that Parley runs on."""
    hint = f"For example {name}=postgres://user:password@host:5432/parley, or leave it out."
    try:
        config = dict(_env.db_url_config(raw(name) or default))
    except Exception:  # noqa: BLE001 the parser raises whatever it meets
        config = {}
    if config.get("ENGINE") not in {
        "django.db.backends.sqlite3",
        "django.db.backends.postgresql",
    } or not config.get("NAME"):
        note(name, "it is not the address of a PostgreSQL or SQLite database", hint)
        return dict(_env.db_url_config(default))
    return config
