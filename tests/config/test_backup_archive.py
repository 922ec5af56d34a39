"""The file of a backup: what is wrong with it is told, and nothing else is called so."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import Conflict, Invalid
from config.backups import archive, making
from config.start import CannotStart


@pytest.fixture
def path(tmp_path):
    made, rows = tmp_path / "parley.tar.gz", tmp_path / "rows"
    rows.write_bytes(b"row\n" * 1_000)
    with archive.writing(made, archive.Manifest("0", "now", "sqlite", [])) as writer:
        writer.add(rows, "tables/rows")
    return made


def test_what_was_put_in_comes_out(path, tmp_path):
    with archive.reading(path) as reader:
        reader.extract("tables/rows", tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == b"row\n" * 1_000


def test_what_is_not_in_it_is_damage(path, tmp_path):
    with archive.reading(path) as reader, pytest.raises(Invalid, match="damaged"):
        reader.extract("tables/others", tmp_path / "out")


@pytest.mark.parametrize("bug", [ValueError, KeyError, TypeError, OSError])
def test_a_bug_of_ours_meanwhile_is_no_damage(path, bug):
    """Of a migration, say."""
    with pytest.raises(bug, match="ours"), archive.reading(path):
        raise bug("ours")


def test_a_disk_that_is_full_is_no_damage(path):
    with pytest.raises(OSError, match="No space"), archive.reading(path) as reader:
        reader.extract("tables/rows", Path("/dev/full"))


def test_a_folder_that_cannot_be_used_is_no_running_server(path, monkeypatch):
    def fail():
        raise CannotStart("DATA_DIR: it cannot be used.")

    monkeypatch.setattr(making, "look_at", lambda _path: None)
    monkeypatch.setattr(making, "prepare_folder", fail)

    with pytest.raises(Conflict, match="DATA_DIR"):
        making.restore(path)
