"""F18: of several that start at once one migrates, the others wait for it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests import needs
from tests.e2e.conftest import PAIRED, REDIS, database
from tests.server import ROOT, environment, launch, wait_until_ready


@pytest.mark.row("F18")
@needs.redis
def test_of_three_servers_one_sets_up_the_database(tmp_path):
    with ExitStack() as stack:
        shared = {"REDIS_URL": REDIS} | stack.enter_context(database())
        servers = [launch(tmp_path, **shared) for _number in range(3)]
        for server in servers:
            stack.callback(server.stop)

        for server in servers:
            wait_until_ready(server, seconds=120)

        assert sum("Setting up the database" in server.log for server in servers) == 1
        assert not any("Traceback" in server.log for server in servers)


def test_of_three_commands_none_fails(tmp_path):
    with database() as shared:
        variables = environment(tmp_path, port=8139, **shared)
        migrating = [
            subprocess.Popen(
                [sys.executable, "manage.py", "migrate"],
                cwd=ROOT,
                env=variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for _number in range(3)
        ]
        said = [process.communicate(timeout=180)[0] for process in migrating]

    assert [process.returncode for process in migrating] == [0, 0, 0], said
    assert sum("Applying chat.0001_initial" in text for text in said) == 1
    assert PAIRED or (tmp_path / "parley.sqlite3").exists()
