"""What a person asked before lies in a file that is theirs alone, and goes when they go."""

from __future__ import annotations

import stat
import uuid

import pytest

from accounts.services.people import erase
from chat.terminal.history import history_file
from chat.terminal.prompt import prompt_session

PERSON = uuid.uuid4()


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    return tmp_path


def test_the_file_is_readable_by_its_owner_alone():
    path = history_file(PERSON)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_closed_to_them():
    history_file(PERSON).chmod(0o644)

    assert stat.S_IMODE(history_file(PERSON).stat().st_mode) == 0o600


def test_a_file_that_leads_elsewhere_is_not_followed(folder):
    path = history_file(PERSON)
    path.unlink()
    path.symlink_to(folder / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        history_file(PERSON)


def test_a_long_history_forgets_its_older_half():
    path = history_file(PERSON)
    entries = [f"\n# 2026-01-01 00:00:00\n+question {number}\n" for number in range(40_000)]
    path.write_text("".join(entries))

    kept = history_file(PERSON).read_text()

    assert kept.startswith("\n# 2026")
    assert kept.endswith(entries[-1])
    assert len(kept) < 0.6 * sum(map(len, entries))


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_talk(folder):
    (folder / "terminal").write_text("a file stands in the way")

    session = prompt_session(PERSON, commands={}, words=lambda _name: [], toolbar=str)

    session.history.append_string("remembered while it runs")
    assert session.history.get_strings() == ["remembered while it runs"]


@pytest.mark.django_db(transaction=True)
def test_it_is_erased_with_the_person(ada):
    path = history_file(ada.pk)

    erase(ada, actor=ada)

    assert not path.exists()
