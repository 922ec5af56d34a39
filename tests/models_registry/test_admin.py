"""The admin of connections and models: services decide, keys never show (M2, M6)."""

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext

from models_registry.models import ChatModel, Connection, EnvironmentProvider
from models_registry.services.access import Access, access_of
from models_registry.services.endpoints import endpoint_of
from models_registry.services.models import change_model, create_model
from tests.models_registry.conftest import KEY
from tests.models_registry.upstream import refusal

pytestmark = pytest.mark.django_db

CONNECTIONS = "/admin/models_registry/connection/"
MODELS = "/admin/models_registry/chatmodel/"


@pytest.fixture
def admin(root):
    client = Client(REMOTE_ADDR="203.0.113.7")
    data = {"username": "root", "password": "long enough"}
    assert client.post("/admin/login/?next=/admin/", data).status_code == 302
    return client


def page(answer):
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def connection_form(**fields):
    return {
        "name": "Ours",
        "provider": "openai_compatible",
        "base_url": "http://127.0.0.1:11434/v1",
        "api_key": "",
        "enabled": "on",
    } | fields


def model_form(there, **fields):
    return {
        "name": "new",
        "display_name": "",
        "connection": str(there.pk),
        "upstream_name": "",
        "enabled": "on",
        "context_window": "",
        "max_output_tokens": "",
        "input_price": "",
        "output_price": "",
        "cached_price": "",
        "everyone": "on",
        "fallbacks": "",
        "prices-TOTAL_FORMS": "0",
        "prices-INITIAL_FORMS": "0",
    } | fields


def do(admin, url, action, *rows):
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    return admin.post(url, data, follow=True)


class TestConnections:
    def test_one_is_added_with_its_key(self, admin):
        answer = admin.post(CONNECTIONS + "add/", connection_form(api_key=KEY))

        made = Connection.objects.get(name="Ours")
        assert answer.status_code == 302
        assert made.owner is None
        assert endpoint_of(made, None).api_key == KEY

    @pytest.mark.row("M2", "K5")
    def test_no_page_shows_a_key(self, admin, system_connection):
        there = f"{CONNECTIONS}{system_connection.pk}/"
        admin.post(
            there + "change/", connection_form(name="New", base_url=system_connection.base_url)
        )

        pages = [
            page(admin.get(CONNECTIONS)),
            page(admin.get(CONNECTIONS + "?q=New")),
            page(admin.get(there + "change/")),
            page(admin.get(there + "history/")),
            page(admin.get(there + "delete/")),
            page(admin.post(there + "change/", connection_form(name="", api_key=KEY))),
        ]

        assert all(KEY not in each for each in pages)
        assert all(system_connection.sealed_api_key not in each for each in pages)
        assert "…cdef" in pages[0]
        assert all(KEY not in entry.change_message for entry in LogEntry.objects.all())

    def test_an_empty_key_keeps_the_stored_one(self, admin, system_connection):
        url = f"{CONNECTIONS}{system_connection.pk}/change/"

        admin.post(url, connection_form(name="New", base_url=system_connection.base_url))

        system_connection.refresh_from_db()
        assert system_connection.name == "New"
        assert endpoint_of(system_connection, None).api_key == KEY

    @pytest.mark.row("K8")
    def test_another_address_needs_the_key_anew(self, admin, system_connection):
        url = f"{CONNECTIONS}{system_connection.pk}/change/"

        shown = page(admin.post(url, connection_form(base_url="http://127.0.0.1:9999/v1")))

        before = system_connection.base_url
        system_connection.refresh_from_db()
        assert "Enter the key again" in shown
        assert system_connection.base_url == before

    def test_with_the_key_it_moves(self, admin, system_connection):
        url = f"{CONNECTIONS}{system_connection.pk}/change/"

        admin.post(
            url, connection_form(base_url="http://127.0.0.1:9999/v1", api_key="sk-new-new-new")
        )

        system_connection.refresh_from_db()
        assert system_connection.base_url == "http://127.0.0.1:9999/v1"
        assert endpoint_of(system_connection, None).api_key == "sk-new-new-new"

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"base_url": "http://169.254.169.254/"}, "This address is not allowed."),
            ({"base_url": ""}, "This provider needs an address."),
            ({"api_key": "two words"}, "Only printable ASCII"),
            ({"provider": "openai", "base_url": ""}, "This provider needs a key."),
            ({"provider": "nobody"}, "Select a valid choice"),
        ],
    )
    def test_a_wrong_one_is_told_in_the_form(self, admin, fields, told):
        shown = page(admin.post(CONNECTIONS + "add/", connection_form(**fields)))

        assert told in shown
        assert not Connection.objects.filter(name="Ours").exists()

    @pytest.mark.row("A7")
    def test_personal_ones_are_not_shown(self, admin, mina):
        Connection.objects.create(owner=mina, name="Hers", provider="openai")

        assert "Hers" not in page(admin.get(CONNECTIONS))

    @pytest.mark.row("M6")
    def test_actions_switch_and_test(self, admin, system_connection, upstream):
        do(admin, CONNECTIONS, "disable", system_connection)
        system_connection.refresh_from_db()
        assert not system_connection.enabled

        do(admin, CONNECTIONS, "enable", system_connection)
        assert "2 models" in page(do(admin, CONNECTIONS, "test", system_connection))
        upstream.list_reply = refusal(401, {"message": KEY})
        shown = page(do(admin, CONNECTIONS, "test", system_connection))
        assert "does not accept the key" in shown
        assert KEY not in shown

    def test_the_models_that_a_server_lists_can_be_added(self, admin, system_connection):
        shown = page(do(admin, CONNECTIONS, "add_models", system_connection))

        assert "2 models added." in shown
        assert ChatModel.objects.filter(connection=system_connection).count() == 2

    def test_tests_are_limited(self, admin, system_connection, settings):
        """O8"""
        settings.RATES = settings.RATES | {"connection_test": [(1, 60)]}
        do(admin, CONNECTIONS, "test", system_connection)

        assert "Too many requests" in page(do(admin, CONNECTIONS, "test", system_connection))

    @pytest.mark.row("M6", "A8")
    def test_deleting_goes_through_the_service(self, admin, system_model, built_in):
        gone = system_model.connection
        data = {"action": "delete_selected", "post": "yes"}
        rows = {"_selected_action": [str(gone.pk), str(built_in.pk)]}

        shown = page(admin.post(CONNECTIONS, data | rows, follow=True))

        assert "cannot be deleted" in shown
        assert list(Connection.objects.all()) == [built_in]

    def test_one_is_deleted_on_its_page(self, admin, system_connection, built_in):
        data = {"post": "yes"}

        admin.post(f"{CONNECTIONS}{system_connection.pk}/delete/", data)
        shown = page(admin.post(f"{CONNECTIONS}{built_in.pk}/delete/", data, follow=True))

        assert "cannot be deleted" in shown
        assert list(Connection.objects.all()) == [built_in]

    def test_what_the_environment_named_can_be_forgotten(self, admin, system_connection):
        row = EnvironmentProvider.objects.create(provider="openai", connection=system_connection)
        url = "/admin/models_registry/environmentprovider/"

        assert "openai" in page(admin.get(url))
        admin.post(f"{url}{row.pk}/delete/", {"post": "yes"})

        assert not EnvironmentProvider.objects.exists()
        assert Connection.objects.filter(pk=system_connection.pk).exists()


class TestModels:
    def test_one_is_added_and_filled_from_what_is_known(self, admin, system_connection):
        form = model_form(system_connection, name="four", upstream_name="gpt-4o")

        answer = admin.post(MODELS + "add/", form)

        made = ChatModel.objects.get(name="four")
        assert answer.status_code == 302
        assert (made.everyone, made.context_window) == (True, 128_000)
        assert made.input_price == 2_500_000_000

    def test_one_is_changed(self, admin, system_model, system_connection, mina):
        create_model(None, scope="system", name="b", connection_id=system_connection.pk)
        group = mina.groups.get()
        form = model_form(
            system_connection,
            name="gpt-4o",
            input_price="1.5",
            output_price="10.000000",
            everyone="",
            roles=[str(group.pk)],
            users=[str(mina.pk)],
            fallbacks="b",
            context_window="1000",
        )
        del form["everyone"]

        answer = admin.post(f"{MODELS}{system_model.pk}/change/", form)

        system_model.refresh_from_db()
        assert answer.status_code == 302, answer.content
        assert (system_model.input_price, system_model.output_price) == (10**9 * 3 // 2, 10**10)
        assert system_model.everyone is False
        assert list(system_model.roles.all()) == [group]
        assert list(system_model.users.all()) == [mina]
        assert len(system_model.fallbacks) == 1

    def test_its_page_shows_what_is_stored(self, admin, system_model, system_connection):
        create_model(None, scope="system", name="b", connection_id=system_connection.pk)
        form = model_form(system_connection, name="gpt-4o", fallbacks="b", input_price="2.5")
        admin.post(f"{MODELS}{system_model.pk}/change/", form)

        shown = page(admin.get(f"{MODELS}{system_model.pk}/change/"))

        assert 'value="b"' in shown
        assert 'value="2.500000"' in shown

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"name": "gpt-4o"}, "exists already"),
            ({"fallbacks": "nobody-knows"}, "Name other models"),
            ({"input_price": "-1"}, "greater than or equal to 0"),
            ({"connection": ""}, "This field is required"),
        ],
    )
    def test_a_wrong_one_is_told_in_the_form(
        self, admin, system_model, system_connection, fields, told
    ):
        form = model_form(system_connection, **fields)

        shown = page(admin.post(MODELS + "add/", form))

        assert told in shown
        assert not ChatModel.objects.filter(name="new").exists()

    @pytest.mark.row("M6")
    def test_actions_switch_and_delete(self, admin, system_model, built_in):
        do(admin, MODELS, "disable", system_model)
        system_model.refresh_from_db()
        assert not system_model.enabled
        do(admin, MODELS, "enable", system_model)
        system_model.refresh_from_db()
        assert system_model.enabled

        admin.post(f"{MODELS}{system_model.pk}/delete/", {"post": "yes"})
        assert not ChatModel.objects.filter(pk=system_model.pk).exists()

    def test_the_list_can_be_searched_and_costs_the_same_for_many(
        self, admin, system_model, system_connection
    ):
        with CaptureQueriesContext(database) as few:
            assert "gpt-4o" in page(admin.get(MODELS + "?q=gpt"))
        for number in range(10):
            create_model(
                None, scope="system", name=f"gpt-{number}", connection_id=system_connection.pk
            )

        with CaptureQueriesContext(database) as many:
            assert "gpt-9" in page(admin.get(MODELS + "?q=gpt"))

        assert len(many) == len(few)
        assert not any("COUNT(" in query["sql"] and "WHERE" not in query["sql"] for query in many)


def test_members_do_not_come_in(client, mina, system_connection):
    assert client.get(CONNECTIONS).status_code == 302


class TestWhoMayUseIt:
    def test_the_list_shows_to_whom_each_is_open(self, admin, system_connection, mina):
        for name, access in {
            "m-all": Access(everyone=True),
            "m-few": Access(roles=("agent", "admin"), users=(mina.pk,)),
            "m-none": Access(),
        }.items():
            create_model(
                None, scope="system", name=name, connection_id=system_connection.pk, access=access
            )

        rows = admin.get(MODELS, {"q": "m-"}).context["cl"].result_list

        shown = {row.name: site.get_model_admin(ChatModel).opened_to(row) for row in rows}
        assert shown["m-all"] == "everyone"
        assert set(shown["m-few"].split(", ")) == {"Administrator", "Agent", "people by name"}
        assert shown["m-none"] == "nobody"

    def test_is_explained_for_one_person(self, admin, system_connection, mina):
        closed = create_model(
            None,
            scope="system",
            name="few",
            connection_id=system_connection.pk,
            access=Access(roles=("admin",)),
        )
        there = f"{MODELS}{closed.pk}/access/"

        assert f"{MODELS}{closed.pk}/access" in page(admin.get(f"{MODELS}{closed.pk}/change/"))
        assert "cannot use" not in page(admin.get(there))
        told = page(admin.get(there, {"person": "mina@example.org"}))
        assert "mina cannot use few." in told
        assert "admin" in told
        assert "root can use few." in page(admin.get(there, {"person": "root"}))

    @pytest.mark.parametrize("pk", ["x", "01a1feb5-f320-714b-afe6-238a0bc3ece9"])
    def test_of_no_model_there_is_no_page(self, admin, pk):
        assert admin.get(f"{MODELS}{pk}/access/").status_code == 404

    def test_nobody_of_that_name_is_said(self, admin, system_model):
        """M3"""
        told = page(admin.get(f"{MODELS}{system_model.pk}/access/", {"person": "<b>no</b>"}))

        assert "There is nobody of that name." in told
        assert "<b>no</b>" not in told

    def test_is_not_for_those_who_may_not_see_people(self, person, system_model):
        viewer = person("viewer")
        type(viewer).objects.filter(pk=viewer.pk).update(is_staff=True)
        viewer.user_permissions.add(Permission.objects.get(codename="view_chatmodel"))
        client = Client()
        client.force_login(viewer)

        assert "/access" not in page(client.get(f"{MODELS}{system_model.pk}/change/"))
        assert client.get(f"{MODELS}{system_model.pk}/access/").status_code == 403


class TestOpeningToRoles:
    @pytest.mark.row("M6")
    def test_asks_which_and_adds_them(self, admin, system_model, mina):
        closed = Access(roles=("admin",), users=(mina.pk,))
        change_model(system_model, actor=None, changes={"access": closed})

        asked = page(do(admin, MODELS, "open_to_roles", system_model))
        data = {"action": "open_to_roles", "_selected_action": [str(system_model.pk)]}
        agent = Group.objects.get(name="agent")
        admin.post(MODELS, data | {"answered": "yes", "roles": [agent.pk]})

        assert "gpt-4o" in asked
        opened = access_of(ChatModel.objects.get(pk=system_model.pk))
        assert (opened.everyone, set(opened.roles), opened.users) == (
            False,
            {"admin", "agent"},
            (mina.pk,),
        )

    @pytest.mark.parametrize("role", ["9" * 30, "x"])
    def test_a_role_that_cannot_be_opens_nothing(self, admin, system_model, role):
        """Above all rows: no input causes a 500."""
        data = {"action": "open_to_roles", "_selected_action": [str(system_model.pk)]}

        answer = admin.post(MODELS, data | {"answered": "yes", "roles": [role]})

        assert answer.status_code == 200
