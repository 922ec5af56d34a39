"""Connections over REST: whose they are, and that keys go in and never come out."""

import pytest

from common.errors import Conflict
from models_registry.models import Connection
from models_registry.services.connections import change_connection
from models_registry.services.endpoints import endpoint_of
from models_registry.services.models import create_model
from models_registry.signals import models_removed
from tests.accounts.conftest import problem
from tests.models_registry.conftest import KEY, wrong_fields

pytestmark = pytest.mark.django_db

PUBLIC = "https://8.8.8.8/v1"  # a literal resolves without a name server


def body(**fields):
    return {
        "provider": "openai_compatible",
        "name": "Mine",
        "base_url": PUBLIC,
        "api_key": KEY,
    } | fields


@pytest.fixture
def mine(api, mina):
    answer = api(mina).post("connections", body())
    assert answer.status_code == 201, answer.content
    return Connection.objects.get(pk=answer.json()["id"])


class TestMaking:
    def test_one_of_ones_own(self, api, mina):
        answer = api(mina).post("connections", body())

        assert answer.status_code == 201
        assert answer.json() == {
            "id": str(Connection.objects.get(owner=mina).pk),
            "scope": "personal",
            "provider": "openai_compatible",
            "name": "Mine",
            "base_url": PUBLIC,
            "api_key_hint": "…cdef",
            "enabled": True,
        }

    @pytest.mark.row("K5")
    def test_the_key_is_stored_encrypted_and_comes_back_for_its_use_only(self, mine):
        assert KEY not in mine.sealed_api_key
        assert endpoint_of(mine, mine.owner).api_key == KEY

    @pytest.mark.row("K5")
    def test_a_short_key_has_no_hint(self, api, mina):
        answer = api(mina).post("connections", body(api_key="short-key"))

        assert answer.json()["api_key_hint"] == ""

    def test_a_system_one_by_a_member_is_refused(self, api, mina):
        answer = api(mina).post("connections", body(scope="system"))

        assert problem(answer) == (403, "permission_denied")
        assert not Connection.objects.filter(name="Mine").exists()

    def test_a_system_one_by_an_administrator(self, api, root):
        answer = api(root).post("connections", body(scope="system"))

        assert answer.json()["scope"] == "system"
        assert Connection.objects.get(name="Mine").owner is None

    @pytest.mark.row("K9")
    @pytest.mark.parametrize(
        ("provider", "base_url"),
        [
            ("openai", "https://api.openai.com/v1"),
            ("anthropic", "https://api.anthropic.com"),
            ("dashscope", "https://dashscope.aliyuncs.com/api/v1"),
        ],
    )
    def test_a_vendor_has_an_address_and_needs_a_key(self, api, mina, provider, base_url):
        settled = api(mina).post("connections", {"provider": provider, "name": "A", "api_key": KEY})
        keyless = api(mina).post("connections", {"provider": provider, "name": "A"})

        if settled.status_code == 201:  # where its name resolves
            assert settled.json()["base_url"] == base_url
        assert wrong_fields(keyless) == {"api_key"}

    def test_a_server_of_ones_own_may_want_no_key(self, api, mina):
        answer = api(mina).post("connections", body(api_key=""))

        assert answer.status_code == 201
        assert Connection.objects.get(owner=mina).sealed_api_key == ""

    @pytest.mark.parametrize("provider", ["nobody", ""])
    def test_a_provider_that_does_not_exist(self, api, mina, provider):
        answer = api(mina).post("connections", body(provider=provider))

        assert wrong_fields(answer) == {"provider"}

    @pytest.mark.row("O5")
    @pytest.mark.parametrize(
        "base_url",
        [
            "",
            "http://8.8.8.8/v1",
            "https://127.0.0.1/v1",
            "https://10.0.0.1/v1",
            "https://169.254.169.254/v1",
            "https://8.8.8.8:25/v1",
            "https://a@8.8.8.8/v1",
            "https://8.8.8.8/v1?x=1",
            "https://8.8.8.8/v1#x",
            "https://nowhere.invalid/v1",
            "file:///etc/passwd",
            "https://8.8.8.8/v1\r\nX: y",
            "not an address",
        ],
    )
    def test_a_bad_address_is_told_under_its_name(self, api, mina, base_url):
        """O3, O5"""
        answer = api(mina).post("connections", body(base_url=base_url))

        assert wrong_fields(answer) == {"base_url"}

    @pytest.mark.row("O4")
    def test_staff_may_name_private_addresses_but_not_metadata(self, api, root):
        """O4"""
        private = api(root).post("connections", body(base_url="http://127.0.0.1:11434/v1"))
        metadata = api(root).post("connections", body(base_url="http://169.254.169.254/v1"))

        assert private.status_code == 201
        assert wrong_fields(metadata) == {"base_url"}

    def test_the_deployment_may_allow_private_addresses_to_all(self, api, mina, settings):
        settings.ALLOW_PRIVATE_UPSTREAMS = True

        answer = api(mina).post("connections", body(base_url="http://127.0.0.1:11434/v1"))

        assert answer.status_code == 201

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "a\nb"),
            ("name", "a\u2028b"),
            ("name", "  "),
            ("enabled", "yes"),
            ("enabled", 1),
            ("enabled", None),
        ],
    )
    def test_a_name_is_one_line_and_a_switch_is_true_or_false(self, api, mina, field, value):
        assert wrong_fields(api(mina).post("connections", body(**{field: value}))) == {field}

    @pytest.mark.row("O5")
    @pytest.mark.parametrize("key", ["a\r\nX: y", "a b", "schlüssel", "a\x7f"])
    def test_a_key_that_would_break_a_header(self, api, mina, key):
        """O5"""
        assert wrong_fields(api(mina).post("connections", body(api_key=key))) == {"api_key"}

    @pytest.mark.row("A4")
    def test_what_only_the_server_may_set_is_not_taken(self, api, mina, boris):
        extra = {
            "id": "018f0000-0000-7000-8000-000000000000",
            "owner": str(boris.pk),
            "sealed_api_key": "x",
            "api_key_hint": "x",
            "created_at": "2001-01-01T00:00:00Z",
        }

        answer = api(mina).post("connections", body(**extra))

        made = Connection.objects.get(pk=answer.json()["id"])
        assert (made.owner, made.api_key_hint) == (mina, "…cdef")
        assert str(made.pk) != extra["id"]

    @pytest.mark.parametrize("wrong", [[], "x", None, 7])
    def test_what_is_no_object_is_refused(self, api, mina, wrong):
        assert problem(api(mina).post("connections", wrong)) == (400, "invalid")


class TestReading:
    @pytest.mark.row("A7")
    def test_ones_own_and_nobody_elses(self, api, mina, boris, mine, system_connection):
        theirs = api(boris).get("connections").json()["results"]
        hers = api(mina).get("connections").json()["results"]

        assert theirs == []
        assert [each["id"] for each in hers] == [str(mine.pk)]

    def test_an_administrator_sees_the_systems_but_not_mine(
        self, api, root, mine, system_connection, built_in
    ):
        listed = api(root).get("connections").json()["results"]

        names = {each["id"] for each in listed}
        assert names == {str(system_connection.pk), str(built_in.pk)}

    @pytest.mark.parametrize("method", ["get", "delete"])
    def test_anothers_does_not_exist(self, api, boris, mine, method):
        answer = getattr(api(boris), method)(f"connections/{mine.pk}")

        assert problem(answer) == (404, "not_found")
        assert Connection.objects.filter(pk=mine.pk).exists()

    @pytest.mark.row("K5")
    def test_no_answer_holds_the_key(self, api, mina, mine):
        one = api(mina).get(f"connections/{mine.pk}")
        all_ = api(mina).get("connections")
        changed = api(mina).patch(f"connections/{mine.pk}", {"name": "New"})

        for answer in (one, all_, changed):
            assert answer.status_code == 200
            assert KEY.encode() not in answer.content
            assert b"sealed" not in answer.content

    def test_in_pages_and_in_order(self, api, mina):
        for name in "abc":
            api(mina).post("connections", body(name=name))

        first = api(mina).get("connections?limit=2&ordering=name").json()
        rest = api(mina).get(first["next"].removeprefix("http://localhost:8000")).json()

        assert [each["name"] for each in first["results"] + rest["results"]] == ["a", "b", "c"]
        assert rest["next"] is None

    @pytest.mark.row("A5")
    @pytest.mark.parametrize("query", ["ordering=sealed_api_key", "limit=0", "cursor=x"])
    def test_a_wrong_query_is_refused(self, api, mina, query):
        """I6, I7"""
        assert problem(api(mina).get(f"connections?{query}")) == (400, "invalid")

    def test_anonymous_ones_are_turned_away(self, client):
        assert problem(client.get("/api/v1/connections")) == (401, "unauthenticated")


class TestChanging:
    def test_name_and_switch_need_no_key(self, api, mina, mine):
        answer = api(mina).patch(f"connections/{mine.pk}", {"name": "New", "enabled": False})

        mine.refresh_from_db()
        assert answer.status_code == 200
        assert (mine.name, mine.enabled) == ("New", False)

    @pytest.mark.row("K8")
    @pytest.mark.parametrize(
        "change",
        [{"base_url": "https://9.9.9.9/v1"}, {"provider": "openai"}, {"scope": "system"}],
    )
    def test_where_the_key_goes_needs_it_anew(self, api, root, change):
        """Whoever may change but not read would receive it."""
        made = api(root).post("connections", body()).json()

        answer = api(root).patch(f"connections/{made['id']}", change)

        stored = Connection.objects.get(pk=made["id"])
        assert wrong_fields(answer) == {"api_key"}
        assert (stored.base_url, stored.provider, stored.scope) == (
            PUBLIC,
            "openai_compatible",
            "personal",
        )

    @pytest.mark.row("K8")
    def test_a_listener_named_instead_of_the_address_hears_nothing(self, api, root, upstream):
        """At the change, at the test, and when it is asked for its models."""
        made = api(root).post("connections", body(base_url="http://127.0.0.1:11434/v1")).json()
        there = f"connections/{made['id']}"

        answer = api(root).patch(there, {"base_url": upstream.url})
        api(root).post(f"{there}/test")
        api(root).post(f"{there}/discover")

        assert wrong_fields(answer) == {"api_key"}
        assert upstream.requests == []

    def test_with_the_key_it_moves(self, api, mina, mine):
        answer = api(mina).patch(
            f"connections/{mine.pk}",
            {"base_url": "https://9.9.9.9/v1/", "api_key": "another-key-9"},
        )

        mine.refresh_from_db()
        assert answer.json()["base_url"] == "https://9.9.9.9/v1"
        assert endpoint_of(mine, mina).api_key == "another-key-9"

    @pytest.mark.row("K8")
    def test_an_empty_key_drops_the_stored_one(self, api, mina, mine):
        answer = api(mina).patch(
            f"connections/{mine.pk}", {"base_url": "https://9.9.9.9/v1", "api_key": ""}
        )

        mine.refresh_from_db()
        assert answer.status_code == 200
        assert (mine.sealed_api_key, mine.api_key_hint) == ("", "")

    def test_the_same_address_again_is_no_move(self, api, mina, mine):
        answer = api(mina).patch(f"connections/{mine.pk}", {"base_url": PUBLIC + "/"})

        assert answer.status_code == 200

    def test_a_new_address_is_judged_like_the_first(self, api, mina, mine):
        answer = api(mina).patch(
            f"connections/{mine.pk}", {"base_url": "https://127.0.0.1/v1", "api_key": KEY}
        )

        assert wrong_fields(answer) == {"base_url"}

    @pytest.mark.row("K8")
    def test_a_key_does_not_meet_an_address_that_came_meanwhile(self, mina, mine):
        """Two changes at once."""
        seen = Connection.objects.get(pk=mine.pk)
        Connection.objects.filter(pk=mine.pk).update(base_url="https://9.9.9.9/v1")

        with pytest.raises(Conflict):
            change_connection(seen, actor=mina, changes={"api_key": "sk-for-the-old-address"})

        mine.refresh_from_db()
        assert endpoint_of(mine, mina).api_key == KEY

    def test_a_member_cannot_give_theirs_to_the_system(self, api, mina, mine):
        answer = api(mina).patch(f"connections/{mine.pk}", {"scope": "system", "api_key": KEY})

        assert problem(answer) == (403, "permission_denied")

    @pytest.mark.row("A7")
    def test_models_follow_their_connection(self, api, root, system_model):
        there = f"connections/{system_model.connection_id}"

        answer = api(root).patch(there, {"scope": "personal", "api_key": KEY})

        system_model.refresh_from_db()
        assert answer.status_code == 200, answer.content
        assert (system_model.owner, system_model.everyone) == (root, False)

    def test_models_do_not_follow_to_where_their_name_is_taken(self, api, root, system_model):
        api(root).post("connections", body())
        mine = Connection.objects.get(owner=root)
        create_model(root, scope="personal", name=system_model.name, connection_id=mine.pk)
        there = f"connections/{system_model.connection_id}"

        answer = api(root).patch(there, {"scope": "personal", "api_key": KEY})

        system_model.refresh_from_db()
        assert problem(answer) == (409, "conflict")
        assert (system_model.owner, system_model.connection.owner) == (None, None)


class TestDeleting:
    @pytest.mark.row("A8")
    def test_takes_its_models_along_and_says_so(
        self, api, root, system_model, django_capture_on_commit_callbacks
    ):
        heard = []
        listener = lambda model_ids, **_: heard.append(model_ids)  # noqa: E731
        models_removed.connect(listener)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                answer = api(root).delete(f"connections/{system_model.connection_id}")
        finally:
            models_removed.disconnect(listener)

        assert answer.status_code == 204
        assert heard == [frozenset({system_model.pk})]
        assert not type(system_model).objects.filter(pk=system_model.pk).exists()

    def test_the_built_in_one_stays(self, api, root, built_in):
        assert problem(api(root).delete(f"connections/{built_in.pk}")) == (409, "conflict")
