"""X3: in a browser no page breaks its own policy, asks another host, or stays empty."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")


def visit(url: str, profile) -> tuple[str, str]:
    """The page as it stands after its scripts ran, and what the browser complained of."""
    ended = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=15000",
            "--enable-logging=stderr",
            "--dump-dom",
            url,
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    complaints = [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
    return ended.stdout, "\n".join(complaints)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", r"Parley is running"),
        ("/docs", r"opblock-summary-path[\s\S]*auth/register|auth/.{0,20}register"),
        ("/redoc", r"auth/register|auth_register"),
        ("/admin/login/", r"name=\"password\""),
    ],
)
def test_a_page_works_under_its_policy(shared_server, tmp_path, path, shown):
    page, complaints = visit(shared_server.url + path, tmp_path)

    assert re.search(shown, page)
    assert complaints == ""
