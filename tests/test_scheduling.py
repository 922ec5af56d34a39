"""The tests are played by many workers at once, and also where xdist is not there."""

from __future__ import annotations

import subprocess
import sys

from tests.server import ROOT

_WITHOUT = """
import sys, pytest
words = "-p no:xdist -p no:xdist.looponfail --collect-only -q tests/config/test_admin_checks.py"
sys.exit(pytest.main(words.split()) or "xdist.scheduler" in sys.modules)
"""


def test_they_are_collected_without_xdist():
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 test collected" in done.stdout
