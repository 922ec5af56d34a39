"""K9, O7: a provider gets what its connection holds, and nothing of the deployment's."""

from dataclasses import replace
from importlib import import_module

import pytest
import sentry_sdk

from config import error_reports
from models_registry.providers.factory import provider_at
from tests.models_registry.asking import ask
from tests.models_registry.upstream import answer
from tests.models_registry.wires import endpoint_at, spoken_at

pytestmark = [pytest.mark.usefixtures("clients"), pytest.mark.row("K9")]

SECRET = "sk-of-the-deployment-0000000000"
ELSEWHERE = "http://127.0.0.1:1/v1"
OURS = {"host", "connection", "content-length", "user-agent", "accept", "content-type"} | {
    "accept-encoding"
}
# Headers that a vendor's protocol wants beside these, and those that carry the key.
WANTED = {
    "openai_compatible": set(),
    "anthropic": {"anthropic-version"},
    "dashscope": {"x-dashscope-sse"},
}
KEYED = {
    "openai_compatible": {"authorization"},
    "anthropic": {"authorization", "x-api-key"},
    "dashscope": {"authorization"},
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    for name in ("KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", SECRET)
    for vendor in ("OPENAI", "ANTHROPIC", "DASHSCOPE"):
        monkeypatch.setenv(f"{vendor}_API_KEY", SECRET)
        monkeypatch.setenv(f"{vendor}_BASE_URL", ELSEWHERE)
        headers = f"X-Secret: {SECRET}\nAuthorization: {SECRET}\nX-Api-Key: {SECRET}"
        monkeypatch.setenv(f"{vendor}_CUSTOM_HEADERS", headers)
    for name in ("AUTH_TOKEN", "WEBHOOK_SIGNING_KEY", "IDENTITY_TOKEN", "ORGANIZATION_ID"):
        monkeypatch.setenv(f"ANTHROPIC_{name}", SECRET)
    key_file = tmp_path / "key"
    key_file.write_text(SECRET)
    monkeypatch.setenv("DASHSCOPE_API_KEY_FILE_PATH", str(key_file))
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", ELSEWHERE)
    monkeypatch.setenv("DASHSCOPE_WORKSPACE_ID", SECRET)
    monkeypatch.setenv("DASHSCOPE_DISABLE_DATA_INSPECTION", "false")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


@pytest.fixture
def _reports(settings):
    """Sentry's own headers name the deployment and its key."""
    settings.SENTRY_DSN = "https://key@127.0.0.1:1/1"
    error_reports.start()
    yield
    sentry_sdk.init(default_integrations=False)


@pytest.fixture
def sdk(monkeypatch):
    """DashScope's SDK reads the environment when it is imported; as if it were set by then."""
    module = import_module("dashscope")
    monkeypatch.setattr(module, "api_key", SECRET)
    monkeypatch.setattr(module, "base_http_api_url", ELSEWHERE)


@pytest.mark.row("O7")
@pytest.mark.usefixtures("sdk", "_reports")
@pytest.mark.parametrize("key", ["", "sk-of-the-connection"])
@pytest.mark.parametrize("provider", sorted(WANTED))
async def test_nothing_of_the_environment_arrives(upstream, provider, key):
    wire = spoken_at(upstream, provider)
    own = endpoint_at(upstream, provider, api_key=key)
    upstream.script(wire.answer("Hi"))

    await ask(own)
    await provider_at(own).list_models()

    assert len(upstream.requests) == 2
    for request in upstream.requests:
        assert SECRET not in str(request.headers) + request.body.decode()
        carrying = {name for name, value in request.headers.items() if key and key in value}
        assert carrying == (KEYED[provider] if key else set())
        assert request.headers.get("authorization") == (f"Bearer {key}" if key else None)
        assert set(request.headers) - carrying - WANTED[provider] <= OURS
        assert request.headers["user-agent"].startswith("Parley/")


@pytest.mark.row("O7")
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
