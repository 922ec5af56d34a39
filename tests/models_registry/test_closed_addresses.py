"""O1-O4: whatever way a closed address is written, no road of any client leads there."""

from __future__ import annotations

import socket
from asyncio.selector_events import BaseSelectorEventLoop
from uuid import uuid4

import pytest

from models_registry.errors import ProviderError
from models_registry.models import Connection
from models_registry.providers.base import Endpoint
from models_registry.providers.factory import provider_at
from tests.models_registry.asking import ask_until_failure
from tests.models_registry.conftest import wrong_fields
from tests.models_registry.wires import KEY

CLOSED_TO_OTHERS = [
    "127.1",
    "0177.0.0.1",
    "2130706433",
    "0x7f000001",
    "①②⑦.0.0.1",
    "0",
    "localhost",
    "10.255.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "224.0.0.1",
    "[::]",
    "[::1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fc00::1]",
    "[fe80::1]",
    "[fec0::1]",
]
CLOSED_TO_ALL = [
    "169.254.169.254",
    "2852039166",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "192.0.0.192",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
]
PROVIDERS = ["anthropic", "dashscope", "openai_compatible"]


def body(base_url):
    return {
        "provider": "openai_compatible",
        "name": "Mine",
        "base_url": base_url,
        "api_key": KEY,
    }


@pytest.fixture
def attempts(monkeypatch):
    """The addresses that sockets were told to connect to; none of them gets through."""
    addresses = []

    async def refuse(_loop, _sock, address):
        addresses.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", refuse)
    return addresses


async def asked_for_models_and_an_answer(provider, host, *, allow_private):
    endpoint = Endpoint(
        connection_id=uuid4(),
        provider=provider,
        base_url=f"http://{host}:8080/v1",
        api_key=KEY,
        allow_private=allow_private,
    )
    _events, failure = await ask_until_failure(endpoint)
    assert isinstance(failure, ProviderError)
    with pytest.raises(ProviderError):
        await provider_at(endpoint).list_models()


@pytest.mark.row("O3")
@pytest.mark.django_db
@pytest.mark.parametrize("host", CLOSED_TO_OTHERS + CLOSED_TO_ALL)
def test_it_is_not_saved(api, mina, host):
    theirs = api(mina)
    made = theirs.post("connections", body("https://8.8.8.8/v1"))
    assert made.status_code == 201

    moved = theirs.patch(
        f"connections/{made.json()['id']}", {"base_url": f"https://{host}/v1", "api_key": KEY}
    )

    assert wrong_fields(moved) == {"base_url"}
    assert wrong_fields(theirs.post("connections", body(f"https://{host}/v1"))) == {"base_url"}
    assert Connection.objects.get(name="Mine").base_url == "https://8.8.8.8/v1"


@pytest.mark.row("O4")
@pytest.mark.django_db
@pytest.mark.parametrize("host", CLOSED_TO_ALL)
@pytest.mark.parametrize("scope", ["system", "personal"])
def test_an_administrator_saves_none_that_is_closed_to_all(api, root, settings, host, scope):
    settings.ALLOW_PRIVATE_UPSTREAMS = True

    made = api(root).post("connections", body(f"http://{host}/latest") | {"scope": scope})

    assert wrong_fields(made) == {"base_url"}


@pytest.mark.row("O1", "O3")
@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("host", CLOSED_TO_OTHERS + CLOSED_TO_ALL)
async def test_no_socket_is_told_to_go_there(attempts, provider, host):
    await asked_for_models_and_an_answer(provider, host, allow_private=False)

    assert attempts == []


@pytest.mark.row("O4")
@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("host", CLOSED_TO_ALL)
async def test_not_even_for_staff_where_it_is_closed_to_all(attempts, provider, host):
    await asked_for_models_and_an_answer(provider, host, allow_private=True)

    assert attempts == []


@pytest.mark.row("O2")
@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_name_that_answers_otherwise_each_time_leads_where_it_was_judged(
    attempts, monkeypatch, provider
):
    """Another look after the check would find the other address."""
    meant = ["127.0.0.1", "8.8.8.8"]

    def in_turn(_host, port, *_args, **_kwargs):
        meant.reverse()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (meant[0], port))]

    monkeypatch.setattr(socket, "getaddrinfo", in_turn)
    for _ in range(3):
        await asked_for_models_and_an_answer(provider, "rebind.test", allow_private=False)

    assert {*attempts} == {"8.8.8.8"}


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_where_one_may_go_a_socket_is_told_to(attempts, provider):
    await asked_for_models_and_an_answer(provider, "10.255.0.1", allow_private=True)
    await asked_for_models_and_an_answer(provider, "8.8.8.8", allow_private=False)

    assert {*attempts} == {"10.255.0.1", "8.8.8.8"}
