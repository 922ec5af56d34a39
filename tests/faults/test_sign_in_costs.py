"""What signing in costs, and that its time tells nothing (S7, S9, S10, S14)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

import pytest

from tests.e2e.person import API, PASSWORD, Person, register
from tests.faults.conftest import one_server
from tests.faults.measuring import MEBIBYTE, Bystander, median_seconds, seconds_of
from tests.server import Answer, Server

TRIES = 9
WRONG = "wrong horse 9!"


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream) -> Iterator[Server]:
    # Else its letters are shown on its console, with the addresses of people.
    quiet = {"EMAIL_URL": "dummymail://"}
    with one_server(tmp_path_factory.mktemp("sign-in"), upstream, **quiet) as started:
        yield started


@pytest.fixture
def person(server: Server) -> Person:
    return register(server)


def sign_in(server: Server, name: str, password: str = WRONG) -> int:
    body = {"username": name, "password": password}
    return server.request(f"{API}auth/login", method="POST", body=body, timeout=60).status


@pytest.mark.row("S7")
def test_a_sign_in_takes_alike_whoever_it_is_and_whatever_is_wrong(server, person):
    """Medians within 20 ms of each other; here, 200."""
    suspended, without = register(server), register(server)
    assert server.command("user", "suspend", suspended.username).returncode == 0
    shell = server.command(
        "shell",
        "-c",
        "from accounts.models import User\n"
        f"user = User.objects.get(username={without.username!r})\n"
        "user.set_unusable_password()\nuser.save()",
    )
    assert shell.returncode == 0, shell.stderr
    names = ["nobody.at.all", person.username, suspended.username, without.username]

    medians = median_seconds([partial(sign_in, server, name) for name in names], tries=TRIES)

    assert {sign_in(server, name) for name in names} == {401}
    assert max(medians) - min(medians) < 0.2, medians


@pytest.mark.row("S9")
def test_a_megabyte_of_password_never_reaches_a_hasher(server, person):
    """Refused in under 50 ms; here, 500."""
    long = "x" * 1_000_000
    attempts = {
        "auth/login": {"username": person.username, "password": long},
        "auth/register": {"username": "long.one", "email": "l@example.com", "password": long},
        "users/me/change-password": {"old_password": long, "new_password": "a horse and a half"},
        "auth/reset-password": {"uid": str(uuid4()), "token": "a-b", "password": long},
    }
    for path, body in attempts.items():
        answers: list[Answer] = []

        wait = seconds_of(lambda: answers.append(person.call("POST", path, body)))  # noqa: B023

        assert answers[0].status == 400, path
        assert list(answers[0].json()["errors"]) == [
            name for name, value in body.items() if value == long
        ], path
        assert wait < 0.5, path


@pytest.mark.row("S10")
async def test_a_hundred_sign_ins_at_once_keep_memory_and_everybody_else(server, person):
    """Memory +<500 MB; `/health/live` under 200 ms; here, 2 s."""
    before = server.memory
    with ThreadPoolExecutor(100) as threads, Bystander(server) as bystander:
        statuses = await asyncio.gather(
            *(
                asyncio.get_running_loop().run_in_executor(
                    threads, sign_in, server, person.username, PASSWORD
                )
                for _number in range(100)
            )
        )

    assert set(statuses) <= {200, 429}
    assert 200 in statuses
    assert bystander.longest < 2
    assert bystander.memory - before < 500 * MEBIBYTE
    assert sign_in(server, person.username, PASSWORD) == 200


@pytest.mark.row("S14")
def test_a_forgotten_password_takes_alike_for_nobody(server, person):
    """202 in equal time; medians within 200 ms."""
    emails = [f"{person.username}@example.com", "nobody.at.all@example.com"]

    def forget(email: str) -> None:
        answer = server.request(f"{API}auth/forgot-password", method="POST", body={"email": email})
        assert answer.status == 202

    medians = median_seconds([partial(forget, email) for email in emails], tries=TRIES)

    assert abs(medians[0] - medians[1]) < 0.2, medians
