"""Is there room for what people write? (F8)

Looked at whenever something new begins, so that a disk that has room again needs no restart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from common.errors import Unavailable

_RETRY_SECONDS = 60


def is_low() -> bool:
    """Less than FREE_DISK_BYTES are left where we write."""
    return any(_free(folder) < settings.FREE_DISK_BYTES for folder in set(_folders()))


def check_room() -> None:
    """Raises Unavailable when the disk is almost full: no new turn, upload or import then."""
    if is_low():
        raise Unavailable(
            _("The disk of this server is almost full. You can read, but not write for now."),
            retry_after=_RETRY_SECONDS,
        )


def _folders() -> Iterator[Path]:
    yield Path(settings.DATA_DIR)
    database: Any = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        yield Path(database["NAME"]).parent


def _free(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return settings.FREE_DISK_BYTES  # a folder that is not there is told by others
    return found.f_bavail * found.f_frsize
