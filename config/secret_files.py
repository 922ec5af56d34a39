"""Secrets that a development start makes for itself, once, under `DATA_DIR`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from pathlib import Path

NAMES = ("SECRET_KEY", "SIGNING_KEYS", "ENCRYPTION_KEYS")


def private_directory(path: Path) -> None:
    """Make `path` for this account alone; raises OSError when that cannot be."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_uid == os.getuid():
        path.chmod(0o700)


def development_secrets(data_dir: Path) -> dict[str, str]:
    """The secrets of this deployment, made by whichever process comes first.

    The file appears under its name complete or not at all, and `link` refuses to replace one
    that another process made meanwhile: both then read the same. Raises OSError, ValueError.
    """
    path = data_dir / "secrets.json"
    if not path.exists():
        private_directory(data_dir)
        made = {name: secrets.token_urlsafe(48) for name in NAMES}
        handle, draft = tempfile.mkstemp(dir=data_dir, prefix=".secrets-")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(made, file)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            Path(draft).unlink()
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {name: str(stored[name]) for name in NAMES}
