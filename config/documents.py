"""`.env.example` and the tables of docs/configuration.md, as the settings have them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.utils import translation

from common.errors import Invalid
from config import env
from config.variables import SECTIONS, Variable

EXAMPLE = ".env.example"
GUIDE = "docs/configuration.md"

_COLUMNS = 100
_LITERAL = re.compile(r"`([^`]*)`")
_MADE = re.compile(r"(?ms)^(<!-- made: (\w+) -->\n).*?^(<!-- end -->)$")
_HEAD = """\
# Parley's settings, all of them, with their defaults. `make run` needs none.
#
# A copy named .env is read by `make run`, by every manage.py command and by `docker compose`. What
# the environment names itself, were it empty, wins: `REDIS_URL= make run`.
# Any of them may be given as a file instead: SECRET_KEY_FILE=/run/secrets/secret_key.
# A wrong value ends the start with a sentence that names it.
#
# Made by `make documents`; docs/configuration.md says the same at more length.
"""


def stale(root: Path) -> dict[str, str]:
    """The files under `root` that say something else than the settings, as they should be."""
    guide = (root / GUIDE).read_text(encoding="utf-8")
    wanted = {EXAMPLE: example(), GUIDE: filled(guide)}
    return {
        name: text
        for name, text in wanted.items()
        if not (root / name).exists() or (root / name).read_text(encoding="utf-8") != text
    }


def undescribed() -> list[str]:
    """Names that are read and have no text, or have one and are read nowhere."""
    known = {variable.name for variable in _variables() if not variable.compose_only}
    return sorted(known ^ env.readings.keys())


def example() -> str:
    return "\n".join([_HEAD, *(_example_of(title, found) for title, found in SECTIONS)])


def filled(guide: str) -> str:
    """The guide with its tables anew; raises Invalid where it has no place for one."""
    tables = {"variables": _variable_tables(), "stored": _stored_table()}
    if {found[2] for found in _MADE.finditer(guide)} != tables.keys():
        raise Invalid(f"{GUIDE} has not one place for each of {', '.join(tables)}.")
    return _MADE.sub(lambda found: f"{found[1]}\n{tables[found[2]]}\n\n{found[3]}", guide)


def _variables() -> Iterator[Variable]:
    for _title, variables in SECTIONS:
        yield from variables


def _default(variable: Variable) -> str:
    """In Markdown; "" where there is none."""
    reading = env.readings.get(variable.name)
    value = reading.default if reading else ""
    return variable.default or (f"`{value}`" if value else "")


def _about(variable: Variable) -> str:
    reading = env.readings.get(variable.name)
    holds = reading.holds if reading else ""
    # What a default of true or false says by itself.
    return variable.about if holds in {"", "text", env.SWITCH} else f"{variable.about} ({holds})"


def _example_of(title: str, variables: tuple[Variable, ...]) -> str:
    lines = [f"# --- {title} ".ljust(_COLUMNS - 1, "-")]
    for variable in variables:
        default, about = _default(variable), _about(variable)
        literal = _LITERAL.fullmatch(default)
        if default and not literal:
            about = f"{about} Default: {default}."
        lines += textwrap.wrap(
            _LITERAL.sub(r"\1", about),
            _COLUMNS,
            initial_indent="# ",
            subsequent_indent="# ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines.append(f"#{variable.name}={literal[1] if literal else ''}")
    return "\n".join(lines) + "\n"


def _variable_tables() -> str:
    return "\n\n".join(
        "\n".join(
            [
                f"### {title}",
                "",
                "| variable | default | what it does |",
                "| --- | --- | --- |",
                *(_row(variable) for variable in variables),
            ]
        )
        for title, variables in SECTIONS
    )


def _row(variable: Variable) -> str:
    return f"| `{variable.name}` | {_default(variable)} | {_about(variable)} |"


def _stored_table() -> str:
    known = {variable.name for variable in _variables()}
    lines = ["| setting | first value | what it does |", "| --- | --- | --- |"]
    with translation.override("en"):
        for name, changeable in settings.CHANGEABLE.items():
            variable = name.upper()
            first = f"`{variable}`" if variable in known else ""
            lines.append(f"| `{name}` | {first} | {changeable.label} |")
    return "\n".join(lines)
