"""A slowed password is answered late, and meanwhile holds nothing of the server's (S8)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
from django.conf import settings as django_settings
from django.db import close_old_connections
from django.test import Client

from accounts.models import Role, SignInFailures
from accounts.services.sign_ins import open_for
from accounts.services.tokens import issue
from tests.accounts.conftest import PASSWORD
from tests.asgi import Request

pytestmark = pytest.mark.django_db(transaction=True)

WRONG = "not the password"
NEW = "another horse 77"
FORM = "application/x-www-form-urlencoded"
SECONDS = 3


@dataclass
class Gate:
    """Stands in for the clock: who waits here has been held back and goes on once it opens."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: list[float] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def sleep(self, seconds: float) -> None:
        async with self.came:
            self.waiting.append(seconds)
            self.came.notify_all()
        await self.open.wait()

    async def holds(self, number: int) -> None:
        async with asyncio.timeout(10), self.came:
            await self.came.wait_for(lambda: len(self.waiting) == number)


@pytest.fixture
def gate(monkeypatch, settings) -> Gate:
    """Every account has had its failures: the next try is a slowed one."""
    settings.SIGN_IN_DELAY_SECONDS = SECONDS
    settings.SIGN_IN_FAILURES = {
        "account_address": (1_000, 900),
        "account": (0, 3_600),
        "address": (1_000, 3_600),
    }
    gate = Gate()
    monkeypatch.setattr("common.pacing.sleep", gate.sleep)
    return gate


@pytest.fixture
def root(person):
    # Two, as the last administrator cannot leave.
    person("other", roles=[Role.ADMIN])
    return person("root", roles=[Role.ADMIN])


@pytest.fixture
def token(root):
    return issue(open_for(root, client="tests", address="203.0.113.7")).access_token


@pytest.fixture
def cookie(root):
    client = Client(REMOTE_ADDR="203.0.113.7")
    client.force_login(root)
    name = django_settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


def sign_in(password: str) -> Request:
    return Request("POST", "auth/login", body={"username": "root", "password": password})


def page(path: str, cookie: str, **fields: str) -> Request:
    secret = "c" * 32
    body = urlencode(fields | {"csrfmiddlewaretoken": secret}).encode()
    return Request(
        "POST",
        path,
        body=body,
        headers={
            "Content-Type": FORM,
            "Content-Length": str(len(body)),
            "Origin": "http://testserver",
            "Cookie": f"{django_settings.CSRF_COOKIE_NAME}={secret}; {cookie}",
        },
    )


# Each door that a password opens: how it is asked, and its answers to the right and a wrong one.
DOORS = {
    "login": (lambda given, token, cookie: sign_in(given), 200, 401),
    "a new address": (
        lambda given, token, cookie: Request(
            "PATCH", "users/me", token=token, body={"email": "new@example.org", "password": given}
        ),
        200,
        401,
    ),
    "leaving": (
        lambda given, token, cookie: Request(
            "DELETE", "users/me", token=token, body={"password": given}
        ),
        204,
        401,
    ),
    "a new password": (
        lambda given, token, cookie: Request(
            "POST",
            "users/me/change-password",
            token=token,
            body={"old_password": given, "new_password": NEW},
        ),
        204,
        401,
    ),
    "the admin's sign-in": (
        lambda given, token, cookie: page("/admin/login/", "", username="root", password=given),
        302,
        200,
    ),
    "the admin's new password": (
        lambda given, token, cookie: page(
            "/admin/password_change/",
            cookie,
            old_password=given,
            new_password1=NEW,
            new_password2=NEW,
        ),
        302,
        200,
    ),
}


@pytest.mark.row("S7", "S8")
@pytest.mark.parametrize("given", [PASSWORD, WRONG], ids=["right", "wrong"])
@pytest.mark.parametrize("door", DOORS)
async def test_every_door_answers_late_whether_the_password_is_right_or_wrong(
    gate, token, cookie, door, given
):
    ask, right, wrong = DOORS[door]
    request = ask(given, token, cookie)

    await gate.holds(1)
    assert gate.waiting == [SECONDS]
    assert request.outbox.empty()
    gate.open.set()

    assert await request.begun() == (right if given == PASSWORD else wrong)


async def test_what_proves_no_password_is_never_held_back(gate, token):
    request = Request("GET", "users/me", token=token)

    assert await request.begun() == 200
    assert gate.waiting == []


class TwoThreads(ThreadPoolExecutor):
    """All the threads that there are; each gives its connection back after a step, as ours do."""

    def __init__(self) -> None:
        super().__init__(2)

    def submit(self, fn, /, *args, **kwargs):
        def step():
            try:
                return fn(*args, **kwargs)
            finally:
                close_old_connections()

        return super().submit(step)


async def test_fifty_who_wait_leave_both_threads_to_everyone_else(gate, token, monkeypatch):
    with TwoThreads() as threads:
        monkeypatch.setattr("common.streaming.request_threads", threads)
        slowed = [sign_in(WRONG) for _ in range(50)]
        await gate.holds(50)

        other = Request("GET", "users/me", token=token)

        assert await other.begun() == 200
        assert [request.outbox.empty() for request in slowed] == [True] * 50
        gate.open.set()
        assert [await request.begun() for request in slowed] == [401] * 50


async def test_who_leaves_while_held_back_has_learnt_nothing_and_counts(gate, root):
    request = sign_in(WRONG)
    await gate.holds(1)

    with suppress(asyncio.CancelledError):
        await request.leave()

    assert request.outbox.empty()
    assert {row.count async for row in SignInFailures.objects.all()} == {1}
