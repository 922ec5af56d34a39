"""F2: a server that is asked to end, ends politely."""

from __future__ import annotations

import signal
import time

import pytest

from tests.e2e.conftest import once
from tests.server import Server, launch
from tests.waiting import until

pytestmark = once


def status_of_ready(server: Server) -> int:
    return server.request("/health/ready", timeout=5).status


@pytest.mark.row("F2")
def test_sigterm_turns_ready_off_and_keeps_the_port_open(server_at):
    """F2: ready 503 at once; the port stays open for at least 2 s; then a clean exit."""
    with server_at() as server:
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)

        until(lambda: status_of_ready(server) == 503, "ready is off at once", seconds=1)
        while time.monotonic() - began < 1.8:
            assert server.request("/health/live").status == 200
            assert status_of_ready(server) == 503

        assert server.wait(seconds=20) == -signal.SIGTERM
        assert "Traceback" not in server.log
        _before, _, since = server.log.partition("The server drains.")
        assert "turns=0" in since.splitlines()[0]
        assert "The server has ended." in since


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_a_second_signal_ends_it_at_once(server_at, first):
    with server_at() as server:
        server.send_signal(first)
        if first == signal.SIGTERM:
            until(lambda: status_of_ready(server) == 503, "ready is off")
            server.send_signal(signal.SIGTERM)

        assert server.wait(seconds=20) in {130, -signal.SIGINT, -signal.SIGTERM}
        assert "Traceback" not in server.log


def test_ctrl_c_ends_a_first_start_while_it_sets_up(tmp_path):
    server = launch(tmp_path, first_start=True)
    until(lambda: "Setting up the database" in server.log, "the tables are made")

    server.send_signal(signal.SIGINT)

    assert server.wait(seconds=20) == 130
    assert "Traceback" not in server.log


def test_after_a_kill_the_folder_is_free_again(server_at):
    """No lock outlives its process."""
    with server_at() as server:
        server.send_signal(signal.SIGKILL)
        server.wait()

    with server_at() as again:
        assert again.request("/health").status == 200
