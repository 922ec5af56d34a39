"""The environment, read once: `NAME`, or a file named by `NAME_FILE`; then `.env` beside manage.py.

A value that cannot be read never raises here. It is noted in `problems`, its default is used, and
`config.checks` turns the note into a system check with an id and a hint, so that a wrong setting
ends a start with a sentence and not with a traceback. Texts are translated when they are shown:
here there is no language yet.
"""

from __future__ import annotations

import io
import os
import re
import zoneinfo
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.utils.translation import gettext_lazy as _
from environ.fileaware_mapping import FileAwareMapping

BASE_DIR = Path(__file__).resolve().parent.parent


class _FromFile(environ.Env):  # type: ignore[misc]  # environ has no types
    """What `.env` holds. It never enters the environment, which programs we start would inherit."""

    ENVIRON = FileAwareMapping(env={})


_given = FileAwareMapping()
_LINE = re.compile(r"(?:export )?[A-Za-z_][A-Za-z0-9_]*=")

# Each how many, in how many seconds.
Rates = list[tuple[int, int]]
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{1,6})", re.ASCII)

SWITCH = "true or false"
_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_FALSE = frozenset({"0", "false", "no", "off", "n", "f"})
_REDIS_ADDRESS = re.compile(
    r"rediss?://([^@/]*@)?(\[[0-9a-f:.]+\]|[^@/:\s]+)(:[0-9]+)?(/[0-9]*)?(\?\S*)?"
    r"|unix://([^@/]*@)?/[^?\s]+(\?\S*)?"
)
# What stands in links as it is; a name in another script has a form in ASCII too (xn--…).
_WEB_ADDRESS = re.compile(
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9._-]*)(:[0-9]+)?(/[a-z0-9~_-][a-z0-9._~-]*)*/?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a variable is read: what it may hold, in words, and its value where it is not set."""

    holds: str
    default: str = ""


readings: dict[str, Reading] = {}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one variable, and what to do about it."""

    name: str
    text: Any
    hint: Any
    values: dict[str, Any]

    def sentences(self) -> tuple[str, str]:
        return str(self.text) % self.values, str(self.hint) % self.values


problems: list[Problem] = []


def note(name: str, text: Any, hint: Any, **values: Any) -> None:
    """Both texts may name the variable, `%(name)s`, and anything in `values`."""
    problems.append(Problem(name, text, hint, {"name": name, **values}))


def _read_as(name: str, holds: str, default: object = "") -> None:
    readings[name] = Reading(holds, str(default))


def raw(name: str) -> str:
    """The variable without surrounding space; unset and empty are the same.

    If the environment names it, were it empty or as a file, `.env` has no say.
    """
    readings.setdefault(name, Reading("text"))
    in_environment = name in os.environ or f"{name}_FILE" in os.environ
    try:
        value = (_given if in_environment else _FromFile.ENVIRON).get(name, "")
    except (OSError, UnicodeDecodeError):
        note(
            name,
            _("the file that %(name)s_FILE names cannot be read"),
            _("Check its path and rights."),
        )
        return ""
    return str(value).strip()


def read_file(path: Path) -> None:
    """Take the lines `NAME=value` of a file, for what the environment does not name."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        note("ENV_FILE", _("%(path)s cannot be read"), _("Check its path and rights."), path=path)
        return
    sound = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        if _LINE.match(line):
            sound.append(line)
        else:
            # Not the line itself: it may hold a secret.
            hint = _("Write NAME=value, without space around the sign.")
            note(
                "ENV_FILE",
                _("line %(line)d of %(path)s is no setting"),
                hint,
                line=number,
                path=path,
            )
    _FromFile.read_env(io.StringIO("\n".join(sound)))


def read_settings_file() -> None:
    """The file that ENV_FILE names, else `.env` beside manage.py where there is one."""
    if named := raw("ENV_FILE"):
        read_file(BASE_DIR / named)
    elif (usual := BASE_DIR / ".env").is_file():
        read_file(usual)


def text(name: str, default: str = "", *, choices: tuple[str, ...] = ()) -> str:
    _read_as(name, " or ".join(choices) or "text", default)
    value = raw(name) or default
    if choices and value not in choices:
        note(
            name,
            _("%(value)s is not one of its values"),
            _("Use one of: %(choices)s."),
            value=_quoted(value),
            choices=", ".join(choices),
        )
        return default
    return value


def switch(name: str, *, default: bool) -> bool:
    _read_as(name, SWITCH, str(default).lower())
    value = raw(name).lower()
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        wrong = _("%(value)s is neither true nor false")
        note(name, wrong, _("Use true or false."), value=_quoted(value))
        return default
    return value in _TRUE


def integer(name: str, default: int, *, low: int, high: int) -> int:
    _read_as(name, f"whole number, {low:,} to {high:,}", default)
    return int(_number(name, default, low=low, high=high, kind=int))


def number(name: str, default: float, *, low: float, high: float) -> float:
    _read_as(name, f"number, {low:,} to {high:,}", default)
    return float(_number(name, default, low=low, high=high, kind=float))


def seconds(name: str, default: float, *, low: float = 0.05, high: float = 86_400) -> float:
    value = number(name, default, low=low, high=high)
    _read_as(name, f"seconds, {low:,} to {high:,}", default)
    return value


def _number(name: str, default: float, *, low: float, high: float, kind: type) -> float:
    value = raw(name)
    if not value:
        return default
    hint = (
        _("Use a whole number from %(low)s to %(high)s; the default is %(default)s.")
        if kind is int
        else _("Use a number from %(low)s to %(high)s; the default is %(default)s.")
    )
    shown = {"low": f"{low:,g}", "high": f"{high:,g}", "default": f"{default:,g}"}
    try:
        found = kind(value)
    except ValueError:
        note(name, _("%(value)s is not such a number"), hint, value=_quoted(value), **shown)
        return default
    if not low <= found <= high:
        note(name, _("%(value)s is out of range"), hint, value=_quoted(value), **shown)
        return default
    return float(found) if kind is float else int(found)


def rate(name: str, default: Rates) -> Rates:
    """How many in how many seconds, once or several times: `300/60,2000/3600`; `off` is none."""
    _read_as(name, "number/seconds, or off", ",".join(f"{many}/{span}" for many, span in default))
    value = raw(name).lower()
    if not value:
        return default
    if value == "off":
        return []
    parts = [_RATE.fullmatch(part.strip()) for part in value.split(",")]
    found = [(int(part[1]), int(part[2])) for part in parts if part is not None]
    if len(found) < len(parts) or not all(many and span for many, span in found):
        hint = _("For example %(name)s=300/60 (300 in 60 seconds), or %(name)s=off.")
        note(name, _("%(value)s is no rate"), hint, value=_quoted(value))
        return default
    return found


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma separated list."""
    _read_as(name, "list, comma separated", ",".join(default))
    return [word for part in raw(name).split(",") if (word := part.strip())] or list(default)


def web_address(name: str, default: str = "") -> str:
    """An http(s) origin, with or without a path, without the closing slash."""
    _read_as(name, "web address", default)
    value = raw(name)
    if not value:
        return default
    try:
        parts = urlsplit(value)
        sound = bool(_WEB_ADDRESS.fullmatch(value)) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        example = _("For example %(name)s=https://chat.example.com.")
        note(name, _("it is not a plain web address"), example)
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
        example = _("For example %(name)s=https://key@host/1.")
        note(name, _("it is not an address of Sentry"), example)
        return ""
    return value


def time_zone(name: str, default: str) -> str:
    _read_as(name, "time zone of the IANA database", default)
    value = raw(name) or default
    try:
        zoneinfo.ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        example = _("For example %(name)s=Europe/Berlin.")
        note(name, _("it is no time zone of the IANA database"), example)
        return default
    return value


def email_config(name: str) -> dict[str, Any]:
    """Django's e-mail settings from one address; the console without one."""
    try:
        return dict(environ.Env.email_url_config(raw(name) or "consolemail://"))
    except Exception:  # noqa: BLE001 the parser raises whatever it meets
        example = _("For example %(name)s=smtp+tls://user:password@host:587.")
        note(name, _("it is not the address of a mail server"), example)
        return dict(environ.Env.email_url_config("consolemail://"))


def database_config(name: str, default: str) -> dict[str, Any]:
    """Django's settings for one database; SQLite and PostgreSQL are the two that Parley runs on."""
    try:
        config = dict(environ.Env.db_url_config(raw(name) or default))
    except Exception:  # noqa: BLE001 the parser raises whatever it meets
        config = {}
    if config.get("ENGINE") not in {
        "django.db.backends.sqlite3",
        "django.db.backends.postgresql",
    } or not config.get("NAME"):
        note(
            name,
            _("it is not the address of a PostgreSQL or SQLite database"),
            _("For example %(name)s=postgres://user:password@host:5432/parley, or leave it out."),
        )
        return dict(environ.Env.db_url_config(default))
    return config


def redis_address(name: str) -> str:
    """The address of a Redis and the number of its database; empty without one."""
    value = raw(name)
    try:
        parts = urlsplit(value)
        sound = bool(_REDIS_ADDRESS.fullmatch(value)) and parts.port != 0
    except ValueError:
        sound = False
    if value and not sound:
        example = _("For example %(name)s=redis://:password@host:6379/0, or leave it out.")
        note(name, _("it is not the address of a Redis"), example)
        return ""
    return value


def _quoted(value: str) -> str:
    return repr(value[:100])


read_settings_file()
