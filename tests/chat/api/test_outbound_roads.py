"""Section 4 of docs/security.md on every road: saved, changed, tested, discovered, used.

What the guard says of an address by itself is in tests/common/test_outbound.py.
"""

from __future__ import annotations

import socket
import ssl

import pytest

from models_registry.providers.factory import close_providers
from tests.asgi import Request
from tests.chat.api.test_personal_models import KEY, ask
from tests.common.listeners import Listener, self_signed
from tests.models_registry.upstream import Reply, Upstream, answer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def servers(settings):
    """`upstream`, which a person's connection names, and another one that nothing may reach."""
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    pair = (Upstream(), Upstream())
    yield pair
    await close_providers()
    for server in pair:
        server.close()


@pytest.fixture
def upstream(servers):
    return servers[0]


@pytest.fixture
def other(servers):
    return servers[1]


def there(url, **fields):
    return {
        "provider": "openai_compatible",
        "name": "Mine",
        "base_url": url,
        "api_key": KEY,
    } | fields


class Roads:
    """One's own connection to `url` with a model, and a conversation that the model answers."""

    def __init__(self, token):
        self.token = token

    async def lead_to(self, url):
        made = await ask(self.token, "POST", "connections", there(url), status=201)
        self.path = f"connections/{made['id']}"
        model = {"name": "mine", "connection": made["id"], "upstream_name": "mock"}
        await ask(self.token, "POST", "models", model, status=201)
        talk = await ask(self.token, "POST", "conversations", {"model": "mine"}, status=201)
        self.messages = f"conversations/{talk['id']}/messages"
        return self

    async def tested(self):
        return await ask(self.token, "POST", f"{self.path}/test")

    async def discovered(self):
        return await ask(self.token, "POST", f"{self.path}/discover")

    async def used(self, **fields):
        return await ask(self.token, "POST", self.messages, {"content": "Hi"} | fields, status=502)

    async def fail(self):
        """All of them, as they fail for somebody who may be told no more."""
        for told in (await self.tested(), await self.discovered()):
            assert (told["ok"], told["code"]) == (False, "upstream_error")
        assert (await self.used())["code"] == "upstream_error"
        path = f"{self.messages}/stream"
        again = Request("POST", path, token=self.token, body={"content": "Hi"})
        events = await again.events()
        assert (events[-1]["type"], events[-1]["code"]) == ("chat_error", "upstream_error")


@pytest.fixture
def roads(serving, token):
    return Roads(token)


def named(monkeypatch, meant):
    """The name `rebind.test` means these addresses, whatever they are at that moment."""
    real = socket.getaddrinfo

    def resolve(host, port, *args, **kwargs):
        if host != "rebind.test":
            return real(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in meant]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.row("O1", "O2")
async def test_a_name_that_changes_its_mind_after_it_was_saved_is_never_connected_to(
    roads, upstream, settings, monkeypatch
):
    settings.ALLOW_PRIVATE_UPSTREAMS = False
    meant = ["8.8.8.8"]
    named(monkeypatch, meant)
    await roads.lead_to(f"https://rebind.test:{upstream.port}/v1")
    meant[:] = ["127.0.0.1"]

    await roads.fail()

    assert upstream.connections == 0


@pytest.mark.row("O6")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_an_error_and_is_not_followed(roads, upstream, other, status):
    away = Reply((), status=status, headers={"location": f"{other.url}/models"})
    await roads.lead_to(upstream.url)
    upstream.list_reply = away
    upstream.script(away)

    await roads.fail()

    assert (len(upstream.chats), other.connections) == (2, 0)


@pytest.mark.row("O7")
async def test_nothing_that_the_caller_sent_with_the_request_goes_on(roads, upstream):
    await roads.lead_to(upstream.url)
    upstream.script(answer("Hello"))
    sent = {"Cookie": "sessionid=abc; a=b", "X-Mine": "mine", "Referer": "http://testserver/x"}
    upstream.requests.clear()

    for path, body in (
        (roads.messages, {"content": "Hi"}),
        (f"{roads.path}/test", {}),
        (f"{roads.path}/discover", {}),
    ):
        asked = Request("POST", path, token=roads.token, body=body, headers=sent)
        await asked.read()
        assert asked.status in {200, 201}

    assert len(upstream.requests) == 3
    for request in upstream.requests:
        assert not {"cookie", "x-mine", "referer"} & set(request.headers)
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert roads.token not in str(request.headers)


@pytest.mark.row("O9")
async def test_no_parameter_leads_a_request_elsewhere(roads, upstream, other):
    evil = {
        "api_base": other.url,
        "base_url": other.url,
        "api_key": "sk-mine",
        "extra_headers": {"X-Mine": "mine"},
        "extra_body": {"model": "dearer"},
        "extra_query": {"a": "b"},
        "timeout": 0.001,
        "model": "dearer",
        "temperature": 1,
    }
    await roads.lead_to(upstream.url)
    upstream.script(answer("Hello"))

    sent = {"content": "Hi", "parameters": evil} | evil | {"model": "mine"}
    await ask(roads.token, "POST", roads.messages, sent, status=201)

    [asked] = upstream.chats
    assert other.connections == 0
    assert (asked.json["model"], asked.json["temperature"]) == ("mock", 1)
    assert not {"api_base", "base_url", "extra_body", "timeout"} & set(asked.json)
    assert (asked.headers["authorization"], asked.headers.get("x-mine")) == (f"Bearer {KEY}", None)


@pytest.mark.row("O9")
async def test_nor_does_one_on_v1(roads, upstream, other):
    await roads.lead_to(upstream.url)
    upstream.script(answer("Hello"))
    evil = dict.fromkeys(("api_base", "base_url", "api_key", "timeout"), other.url)
    evil |= {name: {"X-Mine": "mine"} for name in ("extra_headers", "extra_body", "extra_query")}
    body = {"model": "mine", "messages": [{"role": "user", "content": "Hi"}]} | evil

    asked = Request("POST", "/v1/chat/completions", token=roads.token, body=body)
    told = await asked.json()

    assert asked.status == 200, told
    [sent] = upstream.chats
    assert other.connections == 0
    assert not evil.keys() & sent.json.keys()
    assert "mine" not in str(sent.headers).lower()


@pytest.mark.row("O10")
async def test_the_address_of_an_image_goes_on_as_text_and_is_not_fetched(roads, upstream, other):
    await roads.lead_to(upstream.url)
    upstream.script(answer("A cat"))
    url = f"http://127.0.0.1:{other.port}/cat.png"
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"model": "mine", "messages": [{"role": "user", "content": parts}]}

    asked = Request("POST", "/v1/chat/completions", token=roads.token, body=body)
    told = await asked.json()

    assert asked.status == 200, told
    assert other.connections == 0
    [sent] = upstream.chats
    assert sent.json["messages"][0]["content"][1]["image_url"]["url"] == url


@pytest.mark.row("O11")
async def test_a_server_that_vouches_for_itself_is_not_asked(roads, servers, tmp_path, settings):
    settings.UPSTREAM_CA_FILE = ""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    self_signed(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = Listener(context)
    try:
        await roads.lead_to(f"https://localhost:{listener.port}/v1")

        await roads.fail()
    finally:
        listener.close()

    assert listener.requests == []
