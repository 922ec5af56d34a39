"""F8 on a disk that really is full: reading works, nothing breaks, no restart is needed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.person import register
from tests.server import running
from tests.waiting import until

MB = 1 << 20


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk: played where tests run as root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, *, leave: int) -> Path:
    filler = folder / "filler"
    free = os.statvfs(folder)
    with filler.open("wb") as file:
        left = free.f_bavail * free.f_frsize - leave
        while left > 0:
            file.write(b"\0" * min(MB, left))
            left -= MB
    return filler


@pytest.mark.row("F8")
def test_a_disk_that_fills_up_and_is_emptied(tmp_path, small_disk):
    environ = {"DATA_DIR": str(small_disk), "FREE_DISK_MB": "10"}
    with running(tmp_path, **environ) as server:
        person = register(server)
        conversation = person.conversation(title="Before")
        messages = f"conversations/{conversation}/messages"
        assert person.call("POST", messages, {"content": "One"}).status == 201

        filler = fill(small_disk, leave=5 * MB)  # low
        refused = person.call("POST", messages, {"content": "Two"})
        assert refused.status == 503
        assert refused.json()["code"] == "unavailable"
        assert "disk" in refused.json()["detail"]
        assert len(person.call("GET", messages).json()["results"]) == 2
        assert person.call("PATCH", f"conversations/{conversation}", {"title": "x"}).status == 200
        assert server.request("/health/ready").status == 200
        until(
            lambda: server.request("/health").json()["checks"]["database"] == "disk_low",
            "health names the disk",
        )

        filler.unlink()
        filler = fill(small_disk, leave=0)  # full
        title = {"title": "y" * 200, "system_prompt": "z" * 30_000}
        writes = [
            person.call("PATCH", f"conversations/{conversation}", title).status for _ in range(20)
        ]
        assert set(writes) <= {200, 503}
        assert writes[-1] == 503
        assert len(person.call("GET", messages).json()["results"]) == 2

        filler.unlink()
        assert person.call("POST", messages, {"content": "Three"}).status == 201
        assert len(person.call("GET", messages).json()["results"]) == 4
        assert "database disk image is malformed" not in server.log
