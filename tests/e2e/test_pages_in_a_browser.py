"""X3: in a browser no page breaks its own policy, asks another host, or stays empty."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.chat.transfer.files import own, said, talk
from tests.e2e.conftest import once
from tests.e2e.person import register

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    once,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium here: .ci/run installs one"),
]


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


@pytest.mark.row("X3")
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


def test_a_shared_conversation_works_under_its_policy(shared_server, tmp_path):
    """A9: nothing of it runs, nothing of it is fetched from elsewhere."""
    person = register(shared_server)
    words = (
        "Shown words <img src=https://evil.example/a onerror=alert(1)> ![b](https://evil.example/b)"
        "\n\n| a |\n|--:|\n| 1 |\n\n```\ncode\n```\n<script>document.body.remove()</script>"
    )
    file = own(talk(said("1", words), said("2", words, role="assistant", parent_id="1")))
    (made,) = person.call("POST", "conversations/import", file).json()["conversations"]
    url = person.call("POST", f"conversations/{made['id']}/share").json()["url"]

    page, complaints = visit(f"{shared_server.url}/share/{url.rpartition('/')[2]}", tmp_path)

    assert page.count("Shown words") == 2
    assert complaints == ""
