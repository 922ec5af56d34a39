"""The first minute: what `make run` says where Parley cannot be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import once
from tests.server import ROOT, free_port

pytestmark = once

NOBODY = 65534


@pytest.fixture
def folder():
    """A folder with the installer in it, which others may read but not write."""
    with tempfile.TemporaryDirectory(prefix="parley-install-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "bin").mkdir()
        shutil.copy(ROOT / "bin/install", folder / "bin")
        shutil.copy(ROOT / "requirements-dev.txt", folder)
        yield folder


def install(folder: Path, python: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(folder / "bin/install"), python, "requirements-dev.txt"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )


def test_an_unfit_python_is_told_in_a_sentence(folder):
    refused = install(folder, "python-that-is-not-there")

    assert refused.returncode == 1
    assert "needs Python 3.11 or newer" in refused.stderr
    assert "python-that-is-not-there" in refused.stderr


def test_a_folder_that_may_not_be_written_is_told_in_a_sentence(folder):
    folder.chmod(0o555)

    refused = install(folder, **({"user": NOBODY} if os.geteuid() == 0 else {}))

    assert refused.returncode == 1
    assert f"may not write to {folder}" in refused.stderr
    assert "chown" in refused.stderr
    assert not (folder / ".venv").exists()


def test_an_index_out_of_reach_is_told_with_what_to_look_at(folder):
    nowhere = f"http://127.0.0.1:{free_port()}/simple"
    environ = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PIP_", "UV_"))
        },
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": nowhere,
        "UV_INDEX_URL": nowhere,
        "UV_HTTP_RETRIES": "0",
    }

    refused = install(folder, env=environ)

    assert refused.returncode == 1
    assert "is there a network, and is the package index within reach?" in refused.stderr
    assert "PIP_INDEX_URL" in refused.stderr
