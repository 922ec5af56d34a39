"""Models over REST: who sees them, who may change them."""

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from models_registry.models import ChatModel
from models_registry.services.access import Access
from models_registry.services.connections import create_connection
from models_registry.services.models import create_model
from tests.accounts.conftest import problem
from tests.models_registry.conftest import wrong_fields

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("built_in")]


@pytest.fixture
def hers(mina):
    return create_connection(
        mina,
        scope="personal",
        provider="openai_compatible",
        name="Hers",
        base_url="https://8.8.8.8/v1",
    )


def names(answer):
    return [each["name"] for each in answer.json()["results"]]


class TestListing:
    def test_on_a_bare_machine_there_is_the_built_in_one(self, api, mina):
        [model] = api(mina).get("models").json()["results"]

        del model["id"]
        assert model == {
            "name": "offline",
            "display_name": "offline",
            "scope": "system",
            "provider": "offline",
            "context_window": None,
            "max_output_tokens": None,
            "capabilities": ["tools"],
            "input_price": "0.000000",
            "output_price": "0.000000",
        }

    def test_facts_of_a_well_known_model(self, api, mina, system_model):
        model = api(mina).get(f"models/{system_model.pk}").json()

        assert model["context_window"] == 128_000
        assert model["max_output_tokens"] == 16_384
        assert (model["input_price"], model["output_price"]) == ("2.500000", "10.000000")
        assert "upstream_name" not in model

    @pytest.mark.row("A7")
    def test_anothers_and_closed_and_disabled_ones_are_not_there(
        self, api, boris, mina, hers, system_connection
    ):
        create_model(mina, scope="personal", name="mine", connection_id=hers.pk)
        closed = Access(everyone=False, roles=("admin",), users=(mina.pk,))
        create_model(
            None, scope="system", name="few", connection_id=system_connection.pk, access=closed
        )
        create_model(
            None, scope="system", name="off", connection_id=system_connection.pk, enabled=False
        )

        assert names(api(boris).get("models")) == ["offline"]
        assert names(api(mina).get("models")) == ["few", "mine", "offline"]

    def test_of_a_disabled_connection_none(self, api, mina, system_model):
        type(system_model.connection).objects.filter(pk=system_model.connection_id).update(
            enabled=False
        )

        assert names(api(mina).get("models")) == ["offline"]

    def test_a_role_lets_in(self, api, mina, root, system_connection):
        create_model(
            None,
            scope="system",
            name="few",
            connection_id=system_connection.pk,
            access=Access(roles=("admin",)),
        )

        assert "few" in names(api(root).get("models"))
        assert "few" not in names(api(mina).get("models"))

    def test_ones_own_hides_a_system_one_of_the_same_name(self, api, mina, hers, system_model):
        create_model(mina, scope="personal", name="gpt-4o", connection_id=hers.pk)

        found = api(mina).get("models").json()["results"]

        assert [each["scope"] for each in found if each["name"] == "gpt-4o"] == ["personal"]

    def test_costs_as_many_queries_for_many_as_for_one(self, api, mina, system_connection):
        caller = api(mina)
        with CaptureQueriesContext(database) as few:
            caller.get("models")
        for number in range(10):
            create_model(
                None, scope="system", name=f"m{number}", connection_id=system_connection.pk
            )

        with CaptureQueriesContext(database) as many:
            caller.get("models")

        assert len(many) == len(few)

    def test_in_pages(self, api, mina, system_connection):
        for name in "cab":
            create_model(None, scope="system", name=name, connection_id=system_connection.pk)

        first = api(mina).get("models?limit=3&ordering=-name").json()
        rest = api(mina).get(first["next"].removeprefix("http://localhost:8000")).json()

        listed = [each["name"] for each in first["results"] + rest["results"]]
        assert listed == ["offline", "c", "b", "a"]


class TestMaking:
    def test_one_of_ones_own(self, api, mina, hers):
        answer = api(mina).post(
            "models",
            {"name": "acme/big:v2", "connection": str(hers.pk), "input_price": "0.123456"},
        )

        model = ChatModel.objects.get(name="acme/big:v2")
        told = answer.json()
        assert answer.status_code == 201
        assert model.owner == mina
        assert model.input_price == 123_456_000
        assert told["input_price"] == "0.123456"
        assert told["upstream_name"] == "acme/big:v2"
        assert told["connection"] == str(hers.pk)
        assert told["access"] == {"everyone": False, "roles": [], "users": []}

    def test_what_is_sent_wins_over_what_is_known(self, api, mina, hers):
        answer = api(mina).post(
            "models",
            {
                "name": "fast",
                "upstream_name": "gpt-4o-mini",
                "connection": str(hers.pk),
                "context_window": 1000,
                "output_price": 0,
            },
        )

        told = answer.json()
        assert (told["context_window"], told["max_output_tokens"]) == (1000, 16_384)
        assert (told["input_price"], told["output_price"]) == ("0.150000", "0.000000")
        assert told["capabilities"] == ["vision", "tools"]

    def test_a_system_one_is_open_to_everyone_unless_access_says_else(
        self, api, root, mina, system_connection
    ):
        there = str(system_connection.pk)
        open_ = {"scope": "system", "name": "a", "connection": there}
        closed = {"scope": "system", "name": "b", "connection": there, "access": {}}

        assert api(root).post("models", open_).json()["access"]["everyone"] is True
        assert api(root).post("models", closed).json()["access"]["everyone"] is False
        assert names(api(mina).get("models")) == ["a", "offline"]

    def test_a_system_one_by_a_member_is_refused(self, api, mina, system_connection):
        answer = api(mina).post(
            "models", {"scope": "system", "name": "a", "connection": str(system_connection.pk)}
        )

        assert problem(answer) == (403, "permission_denied")

    @pytest.mark.row("A2")
    @pytest.mark.parametrize("whose", ["system", "another's", "nobody's"])
    def test_a_connection_must_be_ones_own(self, api, mina, boris, hers, system_connection, whose):
        there = {
            "system": str(system_connection.pk),
            "another's": str(hers.pk),
            "nobody's": "018f0000-0000-7000-8000-000000000000",
        }[whose]

        answer = api(boris).post("models", {"name": "a", "connection": there})

        assert problem(answer) == (404, "not_found")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("name", " a"),
            ("name", "a\nb"),
            ("name", "x" * 81),
            ("name", 7),
            ("connection", "not-an-id"),
            ("connection", None),
            ("scope", "everyone"),
            ("upstream_name", "x" * 201),
            ("context_window", 0),
            ("context_window", "many"),
            ("context_window", 10**10),
            ("context_window", "5"),
            ("context_window", 5.0),
            ("context_window", True),
            ("max_output_tokens", "5"),
            ("enabled", "yes"),
            ("enabled", 1),
            ("enabled", "true"),
            ("display_name", "a\nb"),
            ("display_name", "a\u202eb"),
            ("input_price", "-1"),
            ("input_price", "1e30"),
            ("input_price", "NaN"),
            ("input_price", "0.0000001"),
            ("input_price", 1e-7),
            ("input_price", True),
            ("input_price", None),
            ("output_price", "free"),
            ("access", []),
            ("access", {"roles": "admin"}),
            ("access", {"users": ["x"]}),
            ("access", {"users": [5]}),
            ("access", {"everyone": "yes"}),
            ("access", {"everyone": 1}),
            ("access", {"evryone": False}),
            ("access", {"x" * 1_000: True}),
            ("access", {"everyone": True}),
            ("fallbacks", "gpt-4o"),
            ("fallbacks", ["nobody-knows"]),
            ("fallbacks", ["a", "b", "c", "d", "e", "f"]),
        ],
    )
    def test_a_wrong_field_is_named(self, api, mina, hers, field, value):
        sent = {"name": "a", "connection": str(hers.pk), field: value}

        [wrong] = wrong_fields(api(mina).post("models", sent))

        assert wrong.split(".")[0] == field

    @pytest.mark.parametrize(
        "access",
        [{"roles": ["nobody"]}, {"users": ["018f0000-0000-7000-8000-000000000000"]}],
    )
    def test_access_names_who_exists(self, api, root, system_connection, access):
        sent = {
            "scope": "system",
            "name": "a",
            "connection": str(system_connection.pk),
            "access": access,
        }

        assert wrong_fields(api(root).post("models", sent)) == {"access"}
        assert not ChatModel.objects.filter(name="a").exists()

    def test_a_name_is_taken_once_by_each(self, api, mina, boris, hers, system_model):
        sent = {"name": "gpt-4o", "connection": str(hers.pk)}

        assert api(mina).post("models", sent).status_code == 201
        assert wrong_fields(api(mina).post("models", sent)) == {"name"}


class TestChanging:
    def test_a_misspelt_access_closes_the_model_to_nobody(self, api, root, mina, system_model):
        answer = api(root).patch(f"models/{system_model.pk}", {"access": {"evryone": True}})

        assert wrong_fields(answer) == {"access.evryone"}
        assert "gpt-4o" in names(api(mina).get("models"))

    def test_what_was_sent_and_nothing_else(self, api, root, system_model):
        answer = api(root).patch(
            f"models/{system_model.pk}",
            {"display_name": "Four", "input_price": "1.5", "enabled": False},
        )

        told = answer.json()
        assert answer.status_code == 200
        assert (told["display_name"], told["input_price"]) == ("Four", "1.500000")
        assert (told["enabled"], told["output_price"]) == (False, "10.000000")
        assert told["access"]["everyone"] is True

    def test_a_price_of_ones_own_holds_for_cached_input_too(self, api, root, system_model):
        assert system_model.cached_price == 1_250_000_000

        api(root).patch(f"models/{system_model.pk}", {"input_price": 0})

        system_model.refresh_from_db()
        assert (system_model.input_price, system_model.cached_price) == (0, None)

    def test_access_is_replaced(self, api, root, mina, boris, system_model):
        there = f"models/{system_model.pk}"

        answer = api(root).patch(there, {"access": {"roles": [], "users": [str(mina.pk)]}})

        assert answer.json()["access"] == {
            "everyone": False,
            "roles": [],
            "users": [str(mina.pk)],
        }
        assert "gpt-4o" in names(api(mina).get("models"))
        assert "gpt-4o" not in names(api(boris).get("models"))
        assert problem(api(boris).get(there)) == (404, "not_found")

    def test_fallbacks_by_name_in_order(self, api, root, system_model, system_connection):
        for name in ("b", "c"):
            create_model(None, scope="system", name=name, connection_id=system_connection.pk)

        answer = api(root).patch(f"models/{system_model.pk}", {"fallbacks": ["c", "b", "c"]})

        assert answer.json()["fallbacks"] == ["c", "b"]

    def test_a_model_is_no_fallback_of_itself(self, api, root, system_model):
        answer = api(root).patch(f"models/{system_model.pk}", {"fallbacks": ["gpt-4o"]})

        assert wrong_fields(answer) == {"fallbacks"}

    @pytest.mark.row("A7")
    def test_a_system_model_falls_back_on_no_personal_one(
        self, api, root, mina, hers, system_model
    ):
        create_model(mina, scope="personal", name="hers", connection_id=hers.pk)

        answer = api(root).patch(f"models/{system_model.pk}", {"fallbacks": ["hers"]})

        assert wrong_fields(answer) == {"fallbacks"}

    def test_a_scope_stays(self, api, mina, root, hers, system_model):
        made = create_model(mina, scope="personal", name="mine", connection_id=hers.pk)

        answer = api(mina).patch(f"models/{made.pk}", {"scope": "system"})

        assert wrong_fields(answer) == {"scope"}

    def test_another_connection_of_ones_own(self, api, mina, hers, system_connection):
        made = create_model(mina, scope="personal", name="mine", connection_id=hers.pk)

        answer = api(mina).patch(f"models/{made.pk}", {"connection": str(system_connection.pk)})

        assert problem(answer) == (404, "not_found")

    def test_members_do_not_change_what_they_may_use(self, api, mina, system_model):
        there = f"models/{system_model.pk}"

        assert problem(api(mina).patch(there, {"name": "x"})) == (403, "permission_denied")
        assert problem(api(mina).delete(there)) == (403, "permission_denied")

    @pytest.mark.row("A7")
    @pytest.mark.parametrize("method", ["get", "delete"])
    def test_anothers_does_not_exist(self, api, mina, boris, hers, method):
        made = create_model(mina, scope="personal", name="mine", connection_id=hers.pk)

        answer = getattr(api(boris), method)(f"models/{made.pk}")

        assert problem(answer) == (404, "not_found")


class TestDeleting:
    def test_ones_own(self, api, mina, hers):
        made = create_model(mina, scope="personal", name="mine", connection_id=hers.pk)

        assert api(mina).delete(f"models/{made.pk}").status_code == 204
        assert not ChatModel.objects.filter(name="mine").exists()

    def test_the_built_in_one_stays(self, api, root, built_in):
        model = built_in.chat_models.get()

        assert problem(api(root).delete(f"models/{model.pk}")) == (409, "conflict")
