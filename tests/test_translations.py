"""Everything that people read is there in every language that Parley speaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from django.conf import settings
from django.utils.translation import to_locale

from bin import messages

TEXTS = messages.all_texts()


def test_there_is_a_catalogue_for_every_language_and_for_the_admins_skin():
    others = [code for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]

    assert {texts.path for texts in TEXTS} == {
        Path(folder) / to_locale(code) / "LC_MESSAGES" / "django.po"
        for folder in settings.LOCALE_PATHS
        for code in others
    }


@pytest.mark.parametrize("texts", TEXTS, ids=lambda texts: str(texts.path.parent))
def test_every_text_is_translated_and_compiled(texts):
    """`make messages` takes new texts in and lists what has no translation yet."""
    assert list(texts.faults()) == []


@pytest.fixture
def written(tmp_path):
    """A catalogue of one text, `%(count)d left`, as somebody wrote it."""

    def write(*lines: str, compiled: bool = True) -> messages.Texts:
        path = tmp_path / "django.po"
        head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
        path.write_text("\n".join((head, *lines, "")), encoding="utf-8")
        wanted = Catalog()
        wanted.add("%(count)d left")
        texts = messages.Texts(path, wanted)
        if compiled:
            messages.compile_to(texts.compiled, texts.read())
        return texts

    return write


ENTRY = 'msgid "%(count)d left"'


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([], "not in the catalogue"),
        ([ENTRY, 'msgstr ""'], "not translated"),
        (["#, fuzzy", ENTRY, 'msgstr "%(count)d 剩余"'], "fuzzy"),
        ([ENTRY, 'msgstr "剩余"'], "placeholders"),
        ([ENTRY, 'msgstr "%(number)d 剩余"'], "placeholders"),
        ([ENTRY, 'msgstr "%(count)d 剩余 "'], "outer spaces"),
        ([ENTRY, 'msgstr "<b>%(count)d</b>"'], "markup"),
        ([ENTRY, 'msgstr "%(count)d"', "", 'msgid "gone"', 'msgstr "x"'], "no longer in the code"),
    ],
)
def test_what_is_missing_or_wrong_is_told(written, lines, fault):
    (told,) = written(*lines).faults()

    assert fault in told


def test_a_translation_that_was_not_compiled_is_told(written):
    good = [ENTRY, 'msgstr "剩余 %(count)d"']
    assert list(written(*good).faults()) == []

    other = written(ENTRY, 'msgstr "还剩 %(count)d"', compiled=False)

    assert list(other.faults()) == ["django.mo is not made from django.po"]
