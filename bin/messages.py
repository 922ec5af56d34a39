"""Keeps the translations in locale/ in step with the texts in the code: `make messages`.

`locale/LANGUAGE` holds our own texts; `locale/unfold/LANGUAGE` those of the admin's skin, which
brings none, as far as Django does not translate them. Of each catalogue the head is written by
people; what follows, and the .mo beside it, is written from here.
"""

from __future__ import annotations

import importlib
import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
OURS = ("accounts", "chat", "common", "config", "models_registry", "quotas", "support", "templates")
SKIN = "unfold"
SKIN_PARTS = ("unfold.contrib.constance", "unfold.contrib.filters", "unfold.contrib.forms")
TRANSLATED = ("django.conf", "django.contrib.admin", "django.contrib.auth", "constance")
KEYWORDS = DEFAULT_KEYWORDS | {
    "_lazy": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
}

# What a translation keeps as it is, in whatever order: placeholders and markup.
_KEPT = re.compile(r"%(?:\(\w+\))?[-+ #0-9.]*[a-zA-Z%]|\{\w*\}|</?[a-z]+[^>]*>|\A\s+|\s+\Z")

_INDENT = re.compile(r"(?m)^\s+")


@dataclass(frozen=True)
class Texts:
    """A catalogue, and the texts in the code that belong into it."""

    path: Path
    wanted: Catalog

    def read(self) -> Catalog:
        with self.path.open("rb") as file:
            return read_po(file)

    @property
    def compiled(self) -> Path:
        return self.path.with_suffix(".mo")

    def write(self) -> None:
        """Take new texts in, drop those that are gone, compile."""
        catalog = self.read()
        catalog.update(self.wanted, no_fuzzy_matching=True)
        head, _, _ = self.path.read_text(encoding="utf-8").partition("\n\n")
        body = io.BytesIO()
        write_po(body, catalog, width=100, no_location=True, omit_header=True, ignore_obsolete=True)
        text = f"{head}\n\n{body.getvalue().decode().strip()}\n"
        if text != self.path.read_text(encoding="utf-8"):
            self.path.write_text(text, encoding="utf-8")
        if not self.is_compiled(catalog):
            compile_to(self.compiled, catalog)

    def is_compiled(self, catalog: Catalog) -> bool:
        """By what it says: its bytes differ between versions of Babel."""
        if not self.compiled.exists():
            return False
        with self.compiled.open("rb") as file:
            return _strings(read_mo(file)) == _strings(catalog)

    def faults(self) -> Iterator[str]:
        """What keeps people from reading all of this in their language, a line each."""
        catalog = self.read()
        wanted, found = _by_key(self.wanted), _by_key(catalog)
        for key in wanted.keys() - found.keys():
            yield f"not in the catalogue: {key[1]}"
        for key in found.keys() - wanted.keys():
            yield f"in the catalogue, but no longer in the code: {key[1]}"
        for key, message in found.items():
            if message.fuzzy:
                yield f"fuzzy: {key[1]}"
            if not _is_translated(message):
                yield f"not translated: {key[1]}"
            elif not _keeps_all(message):
                yield f"placeholders, markup or outer spaces differ: {key[1]}"
        if not self.is_compiled(catalog):
            yield f"{self.compiled.name} is not made from {self.path.name}"


def compile_to(path: Path, catalog: Catalog) -> None:
    with path.open("wb") as file:
        write_mo(file, catalog)


def all_texts() -> list[Texts]:
    ours = _extract(ROOT / name for name in OURS)
    skin = _without_known(_extract(_skin_folders()))
    return [
        Texts(path, catalog)
        for folder, catalog in (("locale", ours), ("locale/unfold", skin))
        for path in sorted((ROOT / folder).glob("*/LC_MESSAGES/django.po"))
    ]


def _extract(places: Iterable[Path]) -> Catalog:
    catalog = Catalog()
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else (place,):
            if path.suffix in {".py", ".html", ".txt"}:
                for texts, context in _marked(path):
                    catalog.add(texts, context=context)
    return catalog


def _marked(path: Path) -> Iterator[tuple[str | tuple[str, ...], str | None]]:
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        # Calls among fillers, on lines whose indentation means nothing to Python.
        source = _INDENT.sub("", templatize(source, origin=str(path)))
    for _, texts, _, context in extract("python", io.BytesIO(source.encode()), keywords=KEYWORDS):
        yield texts, context


def _skin_folders() -> Iterator[Path]:
    skin = _folder(SKIN)
    yield from (path for path in sorted(skin.iterdir()) if path.name != "contrib")
    yield from (_folder(part) for part in SKIN_PARTS)


def _without_known(catalog: Catalog) -> Catalog:
    known: set[object] = set()
    for package in TRANSLATED:
        path = _folder(package) / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.mo"
        with path.open("rb") as file:
            known |= _by_key(read_mo(file)).keys()
    rest = Catalog()
    for key, message in _by_key(catalog).items():
        if key not in known:
            rest.add(message.id, context=message.context)
    return rest


def _folder(package: str) -> Path:
    return Path(str(importlib.import_module(package).__file__)).parent


def _by_key(catalog: Catalog) -> dict[tuple[str, str], Message]:
    return {_key(message): message for message in catalog if message.id}


def _key(message: Message) -> tuple[str, str]:
    return (message.context or "", _forms(message.id)[0])


def _strings(catalog: Catalog) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        key: _forms(message.string)
        for key, message in _by_key(catalog).items()
        if _is_translated(message) and not message.fuzzy
    }


def _forms(text: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def _is_translated(message: Message) -> bool:
    return bool(message.string) and all(_forms(message.string))


def _keeps_all(message: Message) -> bool:
    kept = Counter(_KEPT.findall(_forms(message.id)[-1]))
    return all(Counter(_KEPT.findall(form)) == kept for form in _forms(message.string))


def main() -> int:
    faults = []
    for texts in all_texts():
        if "--check" not in sys.argv:
            texts.write()
        faults += [f"{texts.path.relative_to(ROOT)}: {fault}" for fault in texts.faults()]
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
