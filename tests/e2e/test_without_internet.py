"""D2: nothing needs the internet, at start or in use."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.e2e.conftest import once
from tests.server import ROOT, environment

pytestmark = [once, pytest.mark.row("D2")]


def can_be_alone() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return not subprocess.run([unshare, "-rn", "true"], check=False).returncode


@pytest.mark.skipif(
    not can_be_alone(),
    reason="no right to a network of its own here (unshare): played where there is",
)
def test_it_starts_and_answers_with_no_network_but_loopback(tmp_path):
    ended = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", "tests.e2e.alone", str(tmp_path / "data")],
        cwd=ROOT,
        env=environment(tmp_path, port=0),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.stdout.endswith("worked\n"), ended.stdout + ended.stderr
