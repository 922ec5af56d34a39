"""What a person asked before, for the arrow keys: a file of their own under DATA_DIR."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from uuid import UUID

# Beyond this many bytes the older half is forgotten.
_MOST_BYTES = 1_000_000


def history_file(user_id: UUID) -> Path:
    """The path of a person's history; made if need be, for this account's eyes only.

    Raises OSError where nothing can be written.
    """
    folder = settings.DATA_DIR / "terminal"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path: Path = folder / f"{user_id}.history"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    path.chmod(0o600)
    if path.stat().st_size > _MOST_BYTES:
        _forget_older_half(path)
    return path


def forget(user_id: UUID) -> None:
    """Part of erasing a person."""
    (settings.DATA_DIR / "terminal" / f"{user_id}.history").unlink(missing_ok=True)


def _forget_older_half(path: Path) -> None:
    # Entries begin with an empty line, see prompt_toolkit.history.FileHistory.
    data = path.read_bytes()
    path.write_bytes(data[data.find(b"\n\n#", len(data) // 2) + 1 :])
