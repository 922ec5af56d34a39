"""People, their devices, and a client that speaks JSON as they would."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, Role, User
from accounts.services import registration
from accounts.services.sign_ins import open_for
from accounts.services.tokens import issue
from common.statements import insert

PASSWORD = "correct horse battery"


@pytest.fixture
def person(db) -> Callable[..., User]:
    """Make somebody: `person("mina")`, `person("root", roles=["admin"])`."""

    def make(username: str = "mina", *, password: str = PASSWORD, **options: Any) -> User:
        email = options.pop("email", f"{username}@example.org")
        roles = options.pop("roles", [Role.MEMBER])
        user = registration.create_person(
            username=username, email=email, password=password, roles=roles
        )
        for name, value in options.items():
            setattr(user, name, value)
        if options:
            user.save()
        return user

    return make


@pytest.fixture
def mina(person: Callable[..., User]) -> Any:
    return person("mina")


@pytest.fixture
def root(person: Callable[..., User]) -> Any:
    return person("root", roles=[Role.ADMIN])


@pytest.fixture
def desk(root) -> Client:
    """The admin, as an administrator sees it."""
    client = Client(REMOTE_ADDR="203.0.113.7")
    client.force_login(root)
    return client


def page(name: str, *args: Any) -> str:
    """The address of a page of the admin."""
    return reverse(f"admin:{name}", args=args)


@dataclass
class Device:
    """What a program holds after signing in."""

    access: str
    refresh: str
    sign_in_id: str
    address: str = "203.0.113.7"

    def call(self, method: str, path: str, body: Any = None, **extra: Any) -> Any:
        return Api(self.address).call(
            method, path, body, HTTP_AUTHORIZATION=f"Bearer {self.access}", **extra
        )

    def works(self) -> bool:
        return bool(self.call("GET", "users/me").status_code == 200)

    def take(self, answer: Any) -> None:
        self.access, self.refresh = answer.json()["access_token"], answer.json()["refresh_token"]


class Api:
    """`/api/v1/` over Django's test client, from one address."""

    def __init__(self, address: str = "203.0.113.7") -> None:
        self.client = Client(REMOTE_ADDR=address)

    def call(self, method: str, path: str, body: Any = None, **extra: Any) -> Any:
        return self.client.generic(
            method,
            path if path.startswith("/") else f"/api/v1/{path}",
            b"" if body is None else _json(body),
            content_type="application/json",
            **extra,
        )

    def post(self, path: str, body: Any = None, **extra: Any) -> Any:
        return self.call("POST", path, body, **extra)

    def get(self, path: str, **extra: Any) -> Any:
        return self.call("GET", path, **extra)

    def login(self, name: str = "mina", password: str = PASSWORD) -> Any:
        return self.post("auth/login", {"username": name, "password": password})


def _json(body: Any) -> bytes:
    return body if isinstance(body, bytes) else orjson.dumps(body)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def device() -> Callable[..., Device]:
    """Sign somebody in without the slow door: `device(mina)`."""

    def make(user: User, **options: Any) -> Device:
        sign_in = open_for(user, client="tests", address="203.0.113.7", **options)
        pair = issue(sign_in)
        return Device(pair.access_token, pair.refresh_token, str(sign_in.pk))

    return make


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    """Run what a service left for after the commit: `with committed(): …`."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def at_once(number: int, work: Callable[[int], Any]) -> list[Any]:
    """The results of `work(0..number-1)`, begun by as many threads at the same moment."""
    barrier = threading.Barrier(number)
    results: list[Any] = [None] * number

    def run(index: int) -> None:
        try:
            barrier.wait(timeout=10)
            results[index] = work(index)
        except Exception as error:  # noqa: BLE001 the test looks at it
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def problem(answer: Any) -> tuple[int, str]:
    """Status and code of a refusal, which must be a problem document."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def forgot(committed):
    def ask(email="mina@example.org", api=None, **extra):
        with committed():
            return (api or Api()).post("auth/forgot-password", {"email": email}, **extra)

    return ask


def link_in(message):
    (address,) = re.findall(r"^https?://\S+token=\S+$", str(message.body), re.MULTILINE)
    parts = urlsplit(address)
    return address, {name: values[0] for name, values in parse_qs(parts.query).items()}


@pytest.fixture
def link(mina, forgot):
    """`{"uid": …, "token": …}` as mina reads it in her mailbox."""
    forgot()
    return link_in(mail.outbox.pop())[1]


class Input(io.StringIO):
    terminal = False

    def isatty(self):
        return self.terminal


@pytest.fixture
def run(monkeypatch):
    """Run as from a shell: (exit code, stdout, stderr)."""

    def command(*words, stdin="", terminal=False):
        out, err, given = io.StringIO(), io.StringIO(), Input(stdin)
        given.terminal = terminal
        monkeypatch.setattr("sys.stdin", given)
        try:
            call_command(*words, stdout=out, stderr=err)
        except CommandError as error:
            return error.returncode, out.getvalue(), str(error)
        except SystemExit as end:
            return end.code, out.getvalue(), err.getvalue()
        return 0, out.getvalue(), err.getvalue()

    return command


def added_long_ago(days: int) -> AuditEntry:
    """An entry of that age, whose action is "x"."""
    entry = AuditEntry(action="x", created_at=timezone.now() - timedelta(days=days))
    insert(entry)
    return entry
