"""What the environment names becomes connections, and their lists become models."""

import asyncio
from types import ModuleType

import pytest
from asgiref.sync import async_to_sync

from common.db import in_thread
from models_registry import startup, tasks
from models_registry.models import ChatModel, Connection, EnvironmentProvider
from models_registry.providers import lazily
from models_registry.providers.factory import provider_at
from models_registry.services import discovery
from models_registry.services.connections import (
    change_connection,
    create_connection,
    delete_connection,
)
from models_registry.services.discovery import (
    add_listed_models,
    list_environment_models,
    sync_environment_connections,
)
from models_registry.services.endpoints import endpoint_of
from models_registry.services.models import delete_model
from tests.models_registry.conftest import KEY
from tests.models_registry.upstream import HANG, Reply, refusal
from tests.models_registry.wires import spoken_at

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def environment(settings):
    def set_to(provider="openai", **given):
        nothing = {"api_key": "", "base_url": ""}
        settings.PROVIDERS_FROM_ENVIRONMENT = {
            name: nothing | (given if name == provider else {})
            for name in ("openai", "dashscope", "anthropic")
        }

    set_to()
    return set_to


@pytest.fixture
def named(environment, upstream):
    environment(api_key=KEY, base_url=upstream.url)
    sync_environment_connections()
    return Connection.objects.get(provider="openai")


def list_models():
    async_to_sync(list_environment_models)()


def names(**facts):
    """Of the models that came from a list."""
    listed = ChatModel.objects.exclude(name="offline").filter(**facts)
    return sorted(listed.values_list("name", flat=True))


class TestConnections:
    def test_nothing_named_nothing_made(self, environment):
        sync_environment_connections()

        assert not Connection.objects.exclude(provider="offline").exists()

    def test_a_key_makes_a_system_connection(self, environment):
        environment(api_key=KEY)

        sync_environment_connections()

        made = Connection.objects.get(provider="openai")
        assert (made.scope, made.base_url) == ("system", "https://api.openai.com/v1")
        assert endpoint_of(made, None).api_key == KEY

    @pytest.mark.parametrize("provider", ["anthropic", "dashscope"])
    def test_each_vendor_has_a_connection_with_its_models(self, environment, upstream, provider):
        spoken_at(upstream, provider)
        upstream.models = ["claude-opus-5-5", "qwen3-max"]
        environment(provider, api_key=KEY, base_url=upstream.url)

        sync_environment_connections()
        list_models()

        made = Connection.objects.get(provider=provider)
        assert (made.scope, endpoint_of(made, None).api_key) == ("system", KEY)
        assert names(connection=made) == upstream.models
        assert ChatModel.objects.get(name="claude-opus-5-5").max_output_tokens == 128_000

    def test_an_address_alone_does_too(self, environment, upstream):
        environment(base_url=upstream.url)

        sync_environment_connections()

        assert Connection.objects.get(provider="openai").sealed_api_key == ""

    def test_once(self, named):
        for _ in range(3):
            sync_environment_connections()

        assert Connection.objects.filter(provider="openai").count() == 1

    def test_a_deleted_one_stays_deleted(self, named):
        delete_connection(named, actor=None)

        sync_environment_connections()
        list_models()

        assert not Connection.objects.filter(provider="openai").exists()

    def test_key_and_address_follow_the_environment(self, named, environment, upstream):
        list_models()
        environment(api_key="sk-another-key", base_url=upstream.url)
        sync_environment_connections()
        named.refresh_from_db()
        assert endpoint_of(named, None).api_key == "sk-another-key"
        assert EnvironmentProvider.objects.get().listed_at is not None

        environment(api_key="sk-another-key", base_url=upstream.url + "/two")
        sync_environment_connections()
        named.refresh_from_db()

        assert named.base_url == upstream.url + "/two"
        assert EnvironmentProvider.objects.get().listed_at is None

    @pytest.mark.row("K7")
    def test_a_key_that_cannot_be_decrypted_is_entered_anew(self, named, settings):
        settings.ENCRYPTION_KEYS = ["another secret of thirty-two characters"]

        sync_environment_connections()

        named.refresh_from_db()
        assert endpoint_of(named, None).api_key == KEY

    @pytest.mark.parametrize(
        "wrong", [{"base_url": "not an address"}, {"api_key": "two words"}, {"base_url": "ftp://x"}]
    )
    def test_what_cannot_be_used_is_said_and_stops_no_start(self, environment, wrong, caplog):
        environment(**wrong)

        sync_environment_connections()

        assert not Connection.objects.filter(provider="openai").exists()
        assert "OPENAI_BASE_URL" in caplog.text

    def test_two_servers_at_once_make_one(self, environment, upstream):
        environment(api_key=KEY, base_url=upstream.url)

        async def both():
            await asyncio.gather(*(in_thread(sync_environment_connections)() for _ in range(2)))

        async_to_sync(both)()

        assert Connection.objects.filter(provider="openai").count() == 1


class TestLists:
    def test_every_model_becomes_one_open_to_all(self, named, upstream):
        upstream.models = ["gpt-4o", "acme/own"]

        list_models()

        model = ChatModel.objects.get(name="gpt-4o")
        assert names() == ["acme/own", "gpt-4o"]
        assert (model.everyone, model.enabled, model.owner) == (True, True, None)
        assert (model.context_window, model.input_price) == (128_000, 2_500_000_000)

    def test_what_is_not_for_chat_is_left_disabled(self, named, upstream):
        upstream.models = ["gpt-4o", "text-embedding-3-small", "whisper-1"]

        list_models()

        assert names(enabled=True) == ["gpt-4o"]

    def test_is_read_once(self, named, upstream):
        list_models()
        delete_model(ChatModel.objects.get(name="mock"), actor=None)
        upstream.models = ["new", "mock"]

        list_models()

        assert names() == ["gpt-4o"]
        assert len(upstream.requests) == 1

    @pytest.mark.parametrize(
        ("reply", "seconds"),
        [
            pytest.param(refusal(401), 60, id="refused"),
            pytest.param(refusal(500), 60, id="failed"),
            pytest.param(Reply((b"<html>",)), 60, id="garbled"),
            pytest.param(Reply((HANG,), raw=True), 0.2, id="silent"),
        ],
    )
    def test_is_read_again_until_it_worked(self, named, upstream, reply, seconds, settings, caplog):
        upstream.list_reply = reply
        settings.DISCOVERY_SECONDS = seconds
        list_models()
        settings.DISCOVERY_SECONDS = 60
        assert names() == []
        assert "could not be listed yet" in caplog.text

        upstream.list_reply = None
        tasks.list_environment_models()

        assert names() == ["gpt-4o", "mock"]

    def test_a_name_that_is_taken_gets_the_provider_in_front(
        self, named, upstream, system_connection
    ):
        add_listed_models(system_connection, ["gpt-4o"])

        list_models()

        assert names() == ["gpt-4o", "mock", "openai/gpt-4o"]
        assert ChatModel.objects.get(name="openai/gpt-4o").upstream_name == "gpt-4o"

    def test_listing_twice_adds_nothing(self, system_connection):
        assert len(add_listed_models(system_connection, ["a", "b"])) == 2
        assert len(add_listed_models(system_connection, ["a", "b", "c"])) == 1

    def test_a_disabled_connection_is_not_asked(self, named, upstream):
        change_connection(named, actor=None, changes={"enabled": False})

        list_models()

        assert upstream.requests == []

    @pytest.mark.row("K7")
    def test_an_undecryptable_one_is_not_asked(self, named, upstream, settings):
        settings.ENCRYPTION_KEYS = ["another secret of thirty-two characters"]

        list_models()

        assert upstream.requests == []

    def test_twice_at_once_stores_once(self, named, upstream):
        """T7"""

        async def both():
            await asyncio.gather(list_environment_models(), list_environment_models())

        async_to_sync(both)()

        assert names() == ["gpt-4o", "mock"]


async def test_a_start_offers_all_of_it(environment, upstream):
    environment(api_key=KEY, base_url=upstream.url)

    await startup.offer_models()

    found = [name async for name in ChatModel.objects.values_list("name", flat=True)]
    assert sorted(found) == ["gpt-4o", "mock", "offline"]


@pytest.mark.row("K7")
async def test_a_start_names_connections_whose_key_is_lost(environment, upstream, settings, caplog):
    """The site is up, and the log says what is missing."""
    environment()
    await in_thread(create_connection)(
        None,
        scope="system",
        provider="openai_compatible",
        name="Lost",
        base_url=upstream.url,
        api_key=KEY,
    )
    settings.ENCRYPTION_KEYS = ["another secret of thirty-two characters"]

    await startup.offer_models()

    assert "(Lost) cannot be decrypted" in caplog.text


def test_a_client_is_imported_before_its_servers_seconds_begin(environment, upstream, monkeypatch):
    spoken_at(upstream, "anthropic")
    environment("anthropic", api_key=KEY, base_url=upstream.url)
    sync_environment_connections()
    imported: dict[str, ModuleType] = {}
    monkeypatch.setattr(lazily, "_imported", imported)
    begun = []

    def provider(endpoint):
        begun.append(list(imported))
        return provider_at(endpoint)

    monkeypatch.setattr(discovery, "provider_at", provider)

    list_models()

    assert begun == [["models_registry.providers.anthropic_client"]]
    assert names() == ["gpt-4o", "mock"]


def test_names_that_nobody_could_tell_apart_are_left_out(named, upstream):
    upstream.models = ["gpt-4o", "gpt\u2028-4o", "\u202egpt", "\u3000"]

    list_models()

    assert names() == ["gpt-4o"]


async def test_a_start_does_not_wait_for_a_silent_server(environment, upstream, settings):
    settings.DISCOVERY_SECONDS = 0.2
    environment(api_key=KEY, base_url=upstream.url)
    upstream.list_reply = Reply((HANG,), raw=True)

    await startup.offer_models()

    assert await upstream.requests[0].was_left()
