"""K9, O7: a provider gets what its connection holds, and nothing of the deployment's."""

from dataclasses import replace

import pytest

from models_registry.providers.factory import provider_at
from tests.models_registry.asking import ask
from tests.models_registry.upstream import answer

pytestmark = pytest.mark.usefixtures("clients")

SECRET = "sk-of-the-deployment-0000000000"
OURS = {"host", "connection", "content-length", "user-agent", "accept", "content-type"} | {
    "accept-encoding"
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"X-Secret: {SECRET}\nAuthorization: {SECRET}")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.mark.parametrize("key", ["", "sk-of-the-connection"])
async def test_nothing_of_the_environment_arrives(upstream, endpoint, key):
    own = replace(endpoint, api_key=key)
    upstream.script(answer("Hi"))

    await ask(own)
    await provider_at(own).list_models()

    assert len(upstream.requests) == 2
    for request in upstream.requests:
        assert SECRET not in str(request.headers) + request.body.decode()
        assert request.headers.get("authorization") == (f"Bearer {key}" if key else None)
        assert set(request.headers) - {"authorization"} <= OURS
        assert request.headers["user-agent"].startswith("Parley/")


async def test_connections_share_no_client(upstream, endpoint):
    """O7: pools belong to one connection."""
    from uuid import uuid4  # noqa: PLC0415

    upstream.script(answer("Hi"))

    await ask(endpoint)
    await ask(replace(endpoint, connection_id=uuid4()))

    assert upstream.connections == 2


async def test_a_changed_key_is_used_at_once(upstream, endpoint):
    upstream.script(answer("Hi"))

    await ask(endpoint)
    await ask(replace(endpoint, api_key="sk-new"))

    keys = [request.headers["authorization"] for request in upstream.chats]
    assert keys == [f"Bearer {endpoint.api_key}", "Bearer sk-new"]
