"""F8 on a disk that really is full: reading works, nothing breaks, no restart is needed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import once
from tests.e2e.person import register
from tests.server import environment, manage, running
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


@once
@pytest.mark.parametrize(
    ("room", "setting"),
    [
        pytest.param(0, "DATA_DIR:", id="for nothing"),
        pytest.param(40 << 10, "DATABASE_URL:", id="for no table"),
        pytest.param(MB // 2, "DATABASE_URL:", id="for half of the tables"),
    ],
)
def test_a_first_start_without_room_ends_with_a_sentence(small_disk, room, setting):
    fill(small_disk, leave=room)

    ended = manage("serve", environ=environment(small_disk, port=8139))

    assert ended.returncode == 1
    assert setting in ended.stderr
    assert str(small_disk) in ended.stderr
    assert "Traceback" not in ended.stderr


@once
def test_a_full_disk_is_told_by_a_start_and_by_a_command(small_disk):
    environ = environment(small_disk, port=8139)
    assert manage("migrate", environ=environ).returncode == 0
    fill(small_disk, leave=0)

    started = manage("serve", environ=environ)
    ordered = manage("user", "suspend", "root", environ=environ)

    assert (started.returncode, ordered.returncode) == (1, 1)
    assert "the room on its disk" in started.stderr
    assert "The database cannot be reached (disk I/O error)" in ordered.stderr
    assert "Traceback" not in started.stderr + ordered.stderr
