"""A scripted provider, people, and clients that speak for them."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import Role
from accounts.services import registration
from accounts.services.sign_ins import open_for
from accounts.services.tokens import issue
from models_registry.models import Connection
from models_registry.providers.factory import close_providers
from models_registry.services.connections import create_connection
from models_registry.services.models import create_model, ensure_offline_model
from tests.accounts.conftest import problem
from tests.models_registry.upstream import Upstream
from tests.models_registry.wires import KEY, endpoint_at


@pytest.fixture
def upstream():
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def endpoint(upstream):
    return endpoint_at(upstream, "openai_compatible")


@pytest.fixture
async def clients():
    """The clients of this test's loop are closed at its end."""
    yield
    await close_providers()


@pytest.fixture
def built_in(db):
    """The built-in model; a transactional test before may have flushed what was seeded."""
    ensure_offline_model()
    return Connection.objects.get(provider="offline")


@pytest.fixture
def person(db):
    def make(name, role=Role.MEMBER):
        return registration.create_person(
            username=name, email=f"{name}@example.org", password="long enough", roles=[role]
        )

    return make


@pytest.fixture
def mina(person):
    return person("mina")


@pytest.fixture
def boris(person):
    return person("boris")


@pytest.fixture
def root(person):
    return person("root", Role.ADMIN)


@pytest.fixture
def api():
    """`api(mina).post("connections", {…})`: the REST interface as somebody sees it."""

    class Api:
        def __init__(self, user):
            token = issue(open_for(user, client="tests", address="203.0.113.7")).access_token
            self.headers: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {token}"}

        def _call(self, method, path, body=None):
            raw = b"" if body is None else json.dumps(body).encode()
            url = path if path.startswith("/") else f"/api/v1/{path}"
            return Client().generic(
                method, url, raw, content_type="application/json", **self.headers
            )

        def get(self, path):
            return self._call("GET", path)

        def post(self, path, body=None):
            return self._call("POST", path, body)

        def patch(self, path, body):
            return self._call("PATCH", path, body)

        def delete(self, path):
            return self._call("DELETE", path)

    return Api


@pytest.fixture
def system_connection(db, upstream):
    return create_connection(
        None,
        scope="system",
        provider="openai_compatible",
        name="Ours",
        base_url=upstream.url,
        api_key=KEY,
    )


@pytest.fixture
def system_model(system_connection):
    return create_model(None, scope="system", name="gpt-4o", connection_id=system_connection.id)


@pytest.fixture
def run(capsys, monkeypatch):
    def run(*words, stdin="", terminal=False, as_json=True):
        keyboard = io.StringIO(stdin)
        monkeypatch.setattr(keyboard, "isatty", lambda: terminal)
        monkeypatch.setattr("sys.stdin", keyboard)
        out = io.StringIO()
        call_command(*words, *(["--format", "json"] if as_json else []), stdout=out)
        return json.loads(out.getvalue()) if as_json else out.getvalue()

    return run


def wrong_fields(answer):
    assert problem(answer) == (400, "invalid")
    return set(answer.json()["errors"])
