"""The shipped nginx, deploy/nginx/parley.conf as it is, before the servers of a test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.server import ROOT, Server, free_port
from tests.waiting import until

PROGRAM = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")

needed = pytest.mark.skipif(
    PROGRAM is None, reason="asks through nginx: played where it is installed, as .ci/run does"
)

# What surrounds the shipped file where it is shipped; all that is written stays in the folder.
_AROUND = """
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/upstream-pair.conf;
    include {folder}/parley.conf;
}}
"""


@contextmanager
def before(folder: Path, servers: list[Server]) -> Iterator[Server]:
    """nginx before these two: one more server, with the process and the log of the first."""
    assert PROGRAM is not None
    port = free_port()
    folder.mkdir()
    _configure(folder, port=port, servers=servers)
    log, main = folder / "nginx.log", folder / "nginx.conf"
    process = subprocess.Popen(
        [PROGRAM, "-e", str(log), "-c", str(main), "-g", "daemon off;"], cwd=folder
    )
    front = replace(servers[0], port=port)
    try:
        until(lambda: process.poll() is not None or _answers(front), "nginx answers")
        assert process.poll() is None, log.read_text()
        yield front
    finally:
        process.terminate()
        process.wait(20)


def _configure(folder: Path, *, port: int, servers: list[Server]) -> None:
    shipped = ROOT / "deploy" / "nginx"
    ours = (shipped / "parley.conf").read_text()
    swaps = {
        "    listen 80 default_server;\n    listen [::]:80 default_server;": (
            f"    listen 127.0.0.1:{port} default_server;"
        ),
        "/srv/parley/staticfiles/": f"{folder}/static/",
    }
    pair = (shipped / "upstream-pair.conf").read_text()
    for number, server in enumerate(servers):
        swaps[f"127.0.0.1:{8000 + number}"] = f"127.0.0.1:{server.port}"
    for old, new in swaps.items():
        assert old in ours + pair, old
        ours, pair = ours.replace(old, new), pair.replace(old, new)
    # It drops root for a user who may not read the tests' folders.
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=user))
    (folder / "parley.conf").write_text(ours)
    (folder / "upstream-pair.conf").write_text(pair)


def _answers(front: Server) -> bool:
    try:
        return front.request("/health/live", timeout=2).status == 200
    except OSError:
        return False
