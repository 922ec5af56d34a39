"""From a name to what a turn speaks with."""

from uuid import uuid4

import pytest
from constance.test import override_config

from common.errors import NotFound
from models_registry.checks import unknown_models
from models_registry.errors import ModelUnavailable
from models_registry.models import ChatModel, Connection
from models_registry.providers.base import Prices
from models_registry.services.access import Access
from models_registry.services.connections import create_connection
from models_registry.services.models import change_model, create_model
from models_registry.services.routing import resolve_model, routes_for
from tests.models_registry.conftest import KEY

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("built_in")]


@pytest.fixture
def make(system_connection):
    def make(name, **fields):
        return create_model(
            None, scope="system", name=name, connection_id=system_connection.pk, **fields
        )

    return make


@pytest.fixture
def hers(mina):
    return create_connection(
        mina,
        scope="personal",
        provider="openai_compatible",
        name="Hers",
        base_url="https://8.8.8.8/v1",
        api_key=KEY,
    )


class TestNames:
    def test_a_name_is_a_model(self, mina, system_model):
        assert resolve_model(mina, "gpt-4o") == system_model

    def test_of_two_the_callers_own_wins(self, mina, boris, hers, system_model):
        own = create_model(mina, scope="personal", name="gpt-4o", connection_id=hers.pk)

        assert resolve_model(mina, "gpt-4o") == own
        assert resolve_model(boris, "gpt-4o") == system_model

    @pytest.mark.row("A7")
    @pytest.mark.parametrize("name", ["nobody-knows", "", "mine", "closed"])
    def test_what_one_may_not_use_does_not_exist(self, mina, boris, hers, make, name):
        create_model(mina, scope="personal", name="mine", connection_id=hers.pk)
        make("closed", access=Access(users=(mina.pk,)))

        with pytest.raises(NotFound) as refusal:
            resolve_model(boris, name)

        assert str(refusal.value) == f"There is no model {name} that you may use."

    @pytest.mark.row("A7")
    def test_access_taken_away_stops_the_next_turn(self, boris, system_model):
        change_model(system_model, actor=None, changes={"access": Access()})

        with pytest.raises(NotFound):
            resolve_model(boris, "gpt-4o")

    def test_a_disabled_one_is_unavailable(self, mina, make):
        make("off", enabled=False)

        with pytest.raises(ModelUnavailable):
            resolve_model(mina, "off")

    def test_one_of_a_disabled_connection_is_unavailable(self, mina, system_model):
        Connection.objects.filter(pk=system_model.connection_id).update(enabled=False)

        with pytest.raises(ModelUnavailable):
            resolve_model(mina, "gpt-4o")

    def test_costs_one_query(self, mina, system_model, django_assert_num_queries):
        with django_assert_num_queries(1):
            model = resolve_model(mina, "gpt-4o")
            routes_for(model, mina)


class TestNoName:
    def test_is_the_configured_one(self, mina, make, settings):
        make("a")
        wanted = make("b")
        settings.DEFAULT_MODEL = "b"

        assert resolve_model(mina, None) == wanted

    @pytest.mark.parametrize("configured", ["", "nobody-knows", "off"])
    def test_else_the_first_usable_one(self, mina, make, settings, configured):
        make("off", enabled=False)
        first = make("z")
        make("a")
        settings.DEFAULT_MODEL = configured

        assert resolve_model(mina, None) == first

    def test_else_the_built_in_one(self, mina):
        assert resolve_model(mina, None).name == "offline"

    def test_else_none(self, mina):
        ChatModel.objects.update(enabled=False)

        with pytest.raises(ModelUnavailable):
            resolve_model(mina, None)


class TestRoutes:
    def test_all_that_a_turn_needs(self, mina, system_model, upstream):
        [route] = routes_for(system_model, mina)

        assert (route.model_id, route.name) == (system_model.pk, "gpt-4o")
        assert (route.endpoint.provider, route.upstream_name) == ("openai_compatible", "gpt-4o")
        assert (route.endpoint.base_url, route.endpoint.api_key) == (upstream.url, KEY)
        assert route.endpoint.allow_private
        assert (route.context_window, route.max_output_tokens) == (128_000, 16_384)
        assert route.prices == Prices(2_500_000_000, 10_000_000_000, 1_250_000_000)
        assert route.capabilities == {"vision", "tools"}
        assert (route.encoding, route.owner_id) == ("o200k_base", None)
        assert KEY not in repr(route)

    def test_cached_input_costs_as_much_unless_known(self, mina, make):
        [route] = routes_for(make("own", input_price=7), mina)

        assert route.prices == Prices(7, 0, 7)

    def test_a_personal_address_is_judged_by_its_owner(self, mina, hers, settings):
        """O3"""
        model = create_model(mina, scope="personal", name="mine", connection_id=hers.pk)

        [route] = routes_for(model, mina)
        settings.ALLOW_PRIVATE_UPSTREAMS = True
        [allowed] = routes_for(model, mina)

        assert not route.endpoint.allow_private
        assert allowed.endpoint.allow_private
        assert route.owner_id == mina.pk

    def test_fallbacks_in_order_three_in_all(self, mina, make):
        for name in ("b", "c", "d", "e"):
            make(name)
        model = make("a", fallbacks=["d", "b", "c", "e"])

        assert [route.name for route in routes_for(model, mina)] == ["a", "d", "b"]

    @pytest.mark.row("A7")
    def test_fallbacks_that_one_may_not_use_are_left_out(self, mina, make):
        make("closed", access=Access())
        make("off", enabled=False)
        gone = make("gone")
        make("good")
        model = make("a", fallbacks=["closed", "off", "gone", "good"])
        gone.delete()

        assert [route.name for route in routes_for(model, mina)] == ["a", "good"]

    @pytest.mark.row("K7")
    def test_an_undecryptable_key_disables_its_own_model(self, mina, make, settings, hers):
        model = make("a", fallbacks=["offline"])
        settings.ENCRYPTION_KEYS = ["another secret of thirty-two characters"]

        with pytest.raises(ModelUnavailable):
            routes_for(model, mina)

    @pytest.mark.row("K7")
    def test_an_undecryptable_fallback_is_left_out(self, mina, make, settings):
        make("b")
        offline = ChatModel.objects.get(name="offline")
        offline = change_model(offline, actor=None, changes={"fallbacks": ["b"]})
        settings.ENCRYPTION_KEYS = ["another secret of thirty-two characters"]

        assert [route.name for route in routes_for(offline, mina)] == ["offline"]

    @pytest.mark.row("K7")
    def test_the_check_lists_keys_that_cannot_be_decrypted(self, system_connection, settings):
        from django.core import checks  # noqa: PLC0415

        def found():
            messages = checks.run_checks(tags=["database"], databases=["default"])
            return [each for each in messages if each.id == "models_registry.W001"]

        assert found() == []
        settings.ENCRYPTION_KEYS = ["another secret of thirty-two characters"]
        [warning] = found()
        assert "Ours" in warning.msg


@pytest.mark.parametrize("setting", ["default_model", "title_model"])
def test_the_check_names_a_setting_whose_model_is_not_there(system_model, setting):
    def found():
        messages = unknown_models(databases=["default"])
        return [(each.id, each.msg.partition(":")[0]) for each in messages]

    with override_config(**{setting: system_model.name}):
        assert found() == []
        ChatModel.objects.filter(pk=system_model.pk).update(enabled=False)
        assert found() == [("models_registry.W002", setting.upper())]


def test_ids_that_are_gone_cost_nothing(mina, system_model):
    ChatModel.objects.filter(pk=system_model.pk).update(fallbacks=[str(uuid4())])

    assert len(routes_for(ChatModel.objects.get(pk=system_model.pk), mina)) == 1
