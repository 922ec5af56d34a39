"""Why can I not use this model? Over REST and on the command line."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from accounts.services import people
from models_registry.models import ChatModel, Connection
from models_registry.services.access import Access
from models_registry.services.connections import create_connection
from models_registry.services.explaining import explain
from models_registry.services.models import create_model
from tests.accounts.conftest import problem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("built_in")]


@pytest.fixture
def model(system_connection):
    """`model("few", roles=("agent",))`: a model of the deployment, open to these."""

    def make(name, *, everyone=False, roles=(), users=(), **fields):
        access = Access(everyone=everyone, roles=roles, users=users)
        return create_model(
            None,
            scope="system",
            name=name,
            connection_id=system_connection.pk,
            access=access,
            **fields,
        )

    return make


@pytest.fixture
def hers(mina):
    there = create_connection(
        mina,
        scope="personal",
        provider="openai_compatible",
        name="Hers",
        base_url="https://8.8.8.8/v1",
        api_key="sk-0123456789abcdef",
    )
    return create_model(mina, scope="personal", name="gpt-4o", connection_id=there.pk)


class TestVerdicts:
    def code(self, model, user):
        """The rule that decides, which must be what `usable_by` decides."""
        verdict = explain(ChatModel.objects.select_related("connection").get(pk=model.pk), user)
        assert verdict.usable == ChatModel.objects.usable_by(user).filter(pk=model.pk).exists()
        return verdict.code

    def test_the_rule_that_lets_in_is_named(self, model, mina, hers):
        assert self.code(model("all", everyone=True), mina) == "everyone"
        assert self.code(model("few", roles=("member", "admin")), mina) == "role"
        assert self.code(model("one", users=(mina.pk,)), mina) == "person"
        assert self.code(hers, mina) == "own"

    def test_the_rule_that_keeps_out_is_named(self, model, mina, boris, hers):
        few = model("few", roles=("admin",), users=(mina.pk,))

        assert self.code(few, boris) == "no_access"
        assert self.code(model("nobody"), boris) == "no_access"
        assert self.code(hers, boris) == "personal"
        assert self.code(model("off", everyone=True, enabled=False), boris) == "model_disabled"
        assert self.code(model("gpt-4o", everyone=True), mina) == "hidden"

    def test_a_disabled_connection_is_named(self, model, mina):
        made = model("all", everyone=True)
        Connection.objects.update(enabled=False)

        assert self.code(made, mina) == "connection_disabled"

    def test_a_suspended_person_uses_none(self, model, mina):
        suspended = people.suspend(mina, actor=None)

        assert explain(model("all", everyone=True), suspended).code == "suspended"

    @pytest.mark.row("K7")
    def test_a_key_that_cannot_be_read_is_named(self, model, mina, settings):
        made = model("all", everyone=True)
        settings.ENCRYPTION_KEYS = ["another secret of thirty-two characters"]

        assert explain(made, mina).code == "key_unreadable"


class TestOverRest:
    def test_what_is_open_and_cannot_be_used_is_listed_with_the_reason(
        self, api, mina, boris, hers, model
    ):
        model("closed", roles=("admin",))
        model("off", everyone=True, enabled=False)
        model("gpt-4o", everyone=True)
        model("fine", everyone=True)

        found = api(mina).get("models?usable=false").json()["results"]
        of_boris = api(boris).get("models?usable=false").json()["results"]

        assert [(each["name"], each["reason"]["code"]) for each in found] == [
            ("gpt-4o", "hidden"),
            ("off", "model_disabled"),
        ]
        assert all(each["reason"]["usable"] is False for each in found)
        assert [each["name"] for each in of_boris] == ["off"]

    def test_costs_as_many_queries_for_many_as_for_one(self, api, mina, model):
        caller = api(mina)
        model("off", everyone=True, enabled=False)
        with CaptureQueriesContext(database) as one:
            caller.get("models?usable=false")
        for number in range(10):
            model(f"off{number}", everyone=True, enabled=False)

        with CaptureQueriesContext(database) as many:
            assert len(caller.get("models?usable=false").json()["results"]) == 11

        assert len(many) == len(one)

    def test_one_is_explained_to_whom_it_is_open(self, api, mina, model):
        off = model("off", roles=("member",), enabled=False)
        fine = model("fine", roles=("member",))

        assert api(mina).get(f"models/{off.pk}/access").json()["code"] == "model_disabled"
        told = api(mina).get(f"models/{fine.pk}/access").json()
        assert (told["usable"], told["code"]) == (True, "role")
        assert "member" in told["detail"]

    @pytest.mark.row("A7")
    def test_what_is_not_open_does_not_exist(self, api, mina, boris, hers, model):
        closed = model("closed", roles=("admin",))

        for there in (closed, hers):
            assert api(boris).get(f"models/{there.pk}/access").status_code == 404
            assert api(boris).get(f"models/{there.pk}").status_code == 404

    def test_staff_ask_for_somebody_else(self, api, root, mina, model):
        closed = model("closed", roles=("admin",))

        told = api(root).get(f"models/{closed.pk}/access?user={mina.pk}").json()

        assert (told["usable"], told["code"]) == (False, "no_access")
        assert "admin" in told["detail"]
        assert "member" in told["detail"]

    def test_nobody_else_does(self, api, mina, boris, model):
        there = model("fine", everyone=True)
        unknown = api(mina).get(f"models/{there.pk}/access?user={boris.pk}")

        assert problem(unknown) == (403, "permission_denied")

    def test_a_person_who_does_not_exist(self, api, root, model):
        there = model("fine", everyone=True)

        answer = api(root).get(f"models/{there.pk}/access?user={there.pk}")

        assert problem(answer) == (400, "invalid")


class TestOnTheCommandLine:
    def why(self, *words):
        out = io.StringIO()
        call_command("model", "why", *words, "--format", "json", stdout=out)
        return json.loads(out.getvalue())

    def test_says_which_rule_refuses(self, mina, model):
        model("closed", roles=("admin",))

        told = self.why("closed", "mina@example.org")

        assert (told["model"], told["user"]) == ("closed", "mina")
        assert (told["usable"], told["code"]) == (False, "no_access")

    def test_a_name_means_what_the_person_means_by_it(self, mina, boris, model, hers):
        model("gpt-4o", everyone=True)

        assert self.why("gpt-4o", "mina")["code"] == "own"
        assert self.why("gpt-4o", "boris")["code"] == "everyone"

    @pytest.mark.parametrize("words", [("nothing", "mina"), ("offline", "nobody")])
    def test_an_unknown_name_is_refused(self, mina, words):
        with pytest.raises((CommandError, SystemExit)):
            self.why(*words)
