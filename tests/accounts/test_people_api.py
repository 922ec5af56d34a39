"""`users`: people listed, made, changed, suspended and erased by who may (M5, S3, S4, S19)."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission

from accounts.models import AuditAction, AuditEntry, SignIn, User
from accounts.services import people
from common.errors import NotFound
from tests.accounts.conftest import PASSWORD, Api, problem

pytestmark = pytest.mark.django_db

OLGA = {"username": "olga", "email": "olga@example.org", "password": PASSWORD, "roles": ["agent"]}


@pytest.fixture
def chief(root, device):
    """An administrator's device."""
    return device(root)


@pytest.fixture
def boss(person, device):
    """A supervisor who may do everything with people, and is no administrator."""
    user = person("boss", roles=["supervisor"])
    for action in ("add", "change", "delete"):
        permission = Permission.objects.get(codename=f"{action}_user")
        user.user_permissions.add(permission)
    return device(user)


def names(answer):
    assert answer.status_code == 200, answer.content
    return [row["username"] for row in answer.json()["results"]]


class TestTheList:
    def test_is_the_newest_first_and_narrowed(self, chief, person):
        person("mina", display_name="Mina Harker")
        person("olga", roles=["agent"])
        person("gone", is_active=False)

        def found(query):
            return names(chief.call("GET", f"users?{query}"))

        assert found("") == ["gone", "olga", "mina", "root"]
        assert found("ordering=username") == ["gone", "mina", "olga", "root"]
        assert found("q=OLG") == ["olga"]
        assert found("q=mina@EXAMPLE") == ["mina"]
        assert found("q=harker") == ["mina"]
        assert found("q=%25") == []
        assert found("role=agent") == ["olga"]
        assert found("role=emperor") == []
        assert found("is_active=false") == ["gone"]
        assert found("is_active=true&role=member") == ["mina"]

    def test_goes_on_where_a_page_ends(self, chief, person):
        for number in range(5):
            person(f"person{number}")

        first = chief.call("GET", "users?limit=4&ordering=username")
        second = chief.call("GET", first.json()["next"].partition("/api/v1/")[2])

        assert names(first) + names(second) == [*(f"person{n}" for n in range(5)), "root"]
        assert second.json()["next"] is None

    def test_costs_the_same_for_one_and_for_many(
        self, chief, person, django_assert_max_num_queries
    ):
        for number in range(30):
            person(f"person{number}", roles=["agent", "member"])

        with django_assert_max_num_queries(4):
            assert len(names(chief.call("GET", "users?limit=100"))) == 31

    def test_tells_what_managing_needs_and_no_more(self, chief, mina):
        shown = chief.call("GET", f"users/{mina.pk}").json()

        assert set(shown) == {
            "id",
            "username",
            "email",
            "display_name",
            "language",
            "timezone",
            "plan",
            "roles",
            "is_active",
            "last_login_at",
            "created_at",
        }
        assert (shown["roles"], shown["is_active"], shown["last_login_at"]) == (
            ["member"],
            True,
            None,
        )
        Api().login("mina")
        assert chief.call("GET", f"users/{mina.pk}").json()["last_login_at"].endswith("Z")


def test_who_may_look_may_not_change(person, device, mina):
    """A supervisor may look by default, and an agent not even that."""
    looking = device(person("watcher", roles=["supervisor"]))
    agent = device(person("agent", roles=["agent"]))

    assert "mina" in names(looking.call("GET", "users"))
    assert looking.call("GET", "users/stats").status_code == 200
    for method, path, body in (
        ("POST", "users", OLGA),
        ("PATCH", f"users/{mina.pk}", {"is_active": False}),
        ("DELETE", f"users/{mina.pk}", None),
        ("GET", f"users/{mina.pk}/sessions", None),
        ("DELETE", f"users/{mina.pk}/sessions", None),
    ):
        assert problem(looking.call(method, path, body)) == (403, "permission_denied")
    for somebody in (mina.pk, uuid4()):  # who exists is not told
        assert problem(agent.call("GET", f"users/{somebody}")) == (403, "permission_denied")
    assert User.objects.active().count() == 3


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "users/{}"),
        ("PATCH", "users/{}"),
        ("DELETE", "users/{}"),
        ("GET", "users/{}/sessions"),
        ("DELETE", "users/{}/sessions"),
    ],
)
def test_nobody_of_that_id_is_not_found(chief, method, path):
    answer = chief.call(method, path.format(uuid4()), {} if method == "PATCH" else None)

    assert problem(answer) == (404, "not_found")


class TestMaking:
    def test_somebody_who_can_sign_in_at_once(self, chief, root):
        made = chief.call("POST", "users", OLGA)

        assert made.status_code == 201
        assert made.json()["roles"] == ["agent"]
        assert Api().login("olga").status_code == 200
        entry = AuditEntry.objects.get(action=AuditAction.USER_CREATED, actor_id=root.pk)
        assert (entry.target_label, entry.after) == ("olga", {"roles": ["agent"]})

    def test_a_member_unless_something_else_was_asked(self, chief):
        made = chief.call("POST", "users", {**OLGA, "roles": ["member"]}).json()
        plain = {name: value for name, value in OLGA.items() if name != "roles"}

        other = chief.call(
            "POST", "users", plain | {"username": "other", "email": "other@example.org"}
        )

        assert made["roles"] == other.json()["roles"] == ["member"]

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"username": "a@b"}, "username"),
            ({"username": "ROOT"}, "username"),
            ({"email": "Root@example.org"}, "email"),
            ({"password": "password"}, "password"),
            ({"roles": ["emperor"]}, "roles"),
            ({"roles": []}, "roles"),
        ],
    )
    def test_what_cannot_be_is_named(self, chief, wrong, field):
        answer = chief.call("POST", "users", OLGA | wrong)

        assert problem(answer) == (400, "invalid")
        assert list(answer.json()["errors"]) == [field]
        assert User.objects.count() == 1

    @pytest.mark.row("M5")
    def test_nobody_above_oneself(self, boss):
        """A supervisor makes no administrator."""
        assert problem(boss.call("POST", "users", OLGA | {"roles": ["admin"]})) == (
            403,
            "permission_denied",
        )
        assert boss.call("POST", "users", OLGA | {"roles": ["supervisor"]}).status_code == 201
        assert not User.objects.administrators().exists()


class TestChanging:
    def test_roles_are_replaced_and_on_record(self, chief, mina, device):
        phone = device(mina)

        changed = chief.call("PATCH", f"users/{mina.pk}", {"roles": ["agent", "supervisor"]})

        assert changed.json()["roles"] == ["supervisor", "agent"]
        assert phone.call("GET", "users").status_code == 200  # with the very next request
        entry = AuditEntry.objects.get(action=AuditAction.USER_ROLES)
        assert (entry.before, entry.after) == (
            {"roles": ["member"]},
            {"roles": ["agent", "supervisor"]},
        )

    @pytest.mark.row("M5")
    def test_nobody_raises_or_touches_those_above(self, boss, root, mina):
        for user, body in (
            (mina, {"roles": ["admin"]}),
            (root, {"roles": ["member"]}),
            (root, {"is_active": False}),
            (User.objects.get(username="boss"), {"roles": ["supervisor", "admin"]}),
        ):
            answer = boss.call("PATCH", f"users/{user.pk}", body)
            assert problem(answer) == (403, "permission_denied")
        for method, path in (("DELETE", ""), ("DELETE", "/sessions")):
            answer = boss.call(method, f"users/{root.pk}{path}")
            assert problem(answer) == (403, "permission_denied")

        assert list(User.objects.administrators()) == [root]

    def test_one_refusal_undoes_all_of_it(self, chief, root, mina):
        answer = chief.call(
            "PATCH", f"users/{root.pk}", {"roles": ["admin", "agent"], "is_active": False}
        )

        assert problem(answer) == (409, "conflict")
        assert people.roles_of(User.objects.get(pk=root.pk)) == ["admin"]
        assert not AuditEntry.objects.filter(action=AuditAction.USER_ROLES).exists()

    @pytest.mark.row("M5")
    @pytest.mark.parametrize("body", [{"is_active": False}, {"roles": ["member"]}])
    def test_the_last_administrator_stays(self, chief, root, body):
        """Last admin suspends himself: `conflict`"""
        assert problem(chief.call("PATCH", f"users/{root.pk}", body)) == (409, "conflict")
        assert problem(chief.call("DELETE", f"users/{root.pk}")) == (409, "conflict")
        assert chief.works()

    @pytest.mark.row("A4")
    def test_what_is_not_theirs_to_write_is_not_stored(self, chief, mina):
        before = User.objects.values().get(pk=mina.pk)

        answer = chief.call(
            "PATCH",
            f"users/{mina.pk}",
            {
                "id": str(uuid4()),
                "username": "other",
                "email": "other@example.org",
                "password": "a new fine one",
                "is_staff": True,
                "is_superuser": True,
                "created_at": "2000-01-01T00:00:00Z",
            },
        )

        assert answer.status_code == 200
        assert User.objects.values().get(pk=mina.pk) == before


class TestSuspending:
    @pytest.mark.row("S3", "S4")
    def test_ends_everything_and_is_on_record(self, chief, mina, device):
        phone = device(mina)

        answer = chief.call("PATCH", f"users/{mina.pk}", {"is_active": False})

        assert answer.json()["is_active"] is False
        assert not phone.works()
        assert not SignIn.objects.live().filter(user=mina).exists()
        assert Api().login("mina").status_code == 401
        entry = AuditEntry.objects.get(action=AuditAction.USER_SUSPENDED)
        assert (entry.actor_name, entry.target_label) == ("root", "mina")
        assert (entry.before, entry.after) == ({"is_active": True}, {"is_active": False})

    def test_once_and_back(self, chief, mina, device):
        phone = device(mina)
        for is_active in (False, False, True, True):
            answer = chief.call("PATCH", f"users/{mina.pk}", {"is_active": is_active})
            assert answer.json()["is_active"] is is_active

        assert not phone.works()  # what was revoked stays so
        assert Api().login("mina").status_code == 200
        for action in (AuditAction.USER_SUSPENDED, AuditAction.USER_ACTIVATED):
            assert AuditEntry.objects.filter(action=action).count() == 1


class TestDevices:
    @pytest.mark.row("S19")
    def test_are_listed_and_ended_all_at_once(self, chief, mina, device):
        phone, tablet = device(mina), device(mina)

        listed = chief.call("GET", f"users/{mina.pk}/sessions").json()["results"]

        assert {row["id"] for row in listed} == {phone.sign_in_id, tablet.sign_in_id}
        assert not any(row["current"] for row in listed)
        assert chief.call("DELETE", f"users/{mina.pk}/sessions").status_code == 204
        assert not phone.works()
        assert not tablet.works()
        assert Api().login("mina").status_code == 200
        entry = AuditEntry.objects.get(action=AuditAction.SESSION_REVOKED)
        assert (entry.actor_name, entry.target_label, entry.after) == (
            "root",
            "mina",
            {"sessions": 2},
        )


def test_somebody_erased_is_gone(chief, mina, device):
    phone = device(mina)

    assert chief.call("DELETE", f"users/{mina.pk}").status_code == 204

    assert not phone.works()
    assert problem(chief.call("GET", f"users/{mina.pk}")) == (404, "not_found")
    entry = AuditEntry.objects.get(action=AuditAction.USER_ERASED)
    assert (entry.actor_name, entry.target_id, entry.target_label) == ("root", str(mina.pk), "")


def test_who_was_erased_in_between_is_not_found(root, mina):
    User.objects.filter(pk=mina.pk).delete()

    for act in (
        partial(people.set_roles, mina, ["agent"]),
        partial(people.suspend, mina),
        partial(people.activate, mina),
        partial(people.erase, mina),
    ):
        with pytest.raises(NotFound):
            act(actor=root)


def test_statistics_count_everybody(chief, person):
    person("mina")
    person("olga", roles=["agent", "supervisor"])
    person("gone", is_active=False)
    Group.objects.create(name="auditors")

    assert chief.call("GET", "users/stats").json() == {
        "total": 4,
        "active": 3,
        "by_role": {"admin": 1, "supervisor": 1, "agent": 1, "member": 2, "auditors": 0},
    }
