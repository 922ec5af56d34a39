"""What others do to people: roles, suspension, the last administrator (M5, S3, S4, S19)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission

from accounts.errors import InvalidCredentials
from accounts.models import Role, User
from accounts.services import email_addresses, first_admin, people, profile, sign_ins
from accounts.services.authentication import confirm_password
from common.errors import AppError, Conflict, Invalid, NotFound, PermissionDenied
from tests.accounts.conftest import PASSWORD, Api, at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(person):
    """A supervisor who was given the right to change people."""
    user = person("boss", roles=[Role.SUPERVISOR])
    user.user_permissions.add(Permission.objects.get(codename="change_user"))
    return User.objects.get(pk=user.pk)


class TestRoles:
    def test_an_administrator_gives_any(self, root, mina):
        user = people.set_roles(mina, ["agent", "supervisor"], actor=root)

        assert people.roles_of(user) == ["supervisor", "agent"]
        assert not user.is_staff

    def test_the_administrators_role_opens_the_admin_and_holds_every_permission(self, root, mina):
        user = people.set_roles(mina, ["admin"], actor=root)

        assert user.is_staff
        assert user.has_perm("accounts.delete_user")

        user = people.set_roles(mina, ["member"], actor=root)

        assert not user.is_staff
        assert not user.has_perm("accounts.delete_user")

    @pytest.mark.row("M5")
    def test_nobody_gives_what_they_do_not_hold(self, root, boss, mina):
        """A supervisor makes no administrator."""
        with pytest.raises(PermissionDenied):
            people.set_roles(mina, ["admin"], actor=boss)
        with pytest.raises(PermissionDenied):
            people.set_roles(boss, ["admin"], actor=boss)

        assert list(User.objects.administrators()) == [root]
        assert people.roles_of(people.set_roles(mina, ["supervisor"], actor=boss)) == ["supervisor"]

    @pytest.mark.row("M5")
    @pytest.mark.parametrize("act", ["set_roles", "suspend", "activate", "sign_out", "email"])
    def test_nobody_touches_those_above_them(self, root, boss, act):
        acts = {
            "set_roles": lambda: people.set_roles(root, ["member"], actor=boss),
            "suspend": lambda: people.suspend(root, actor=boss),
            "activate": lambda: people.activate(root, actor=boss),
            "sign_out": lambda: people.sign_out(root, actor=boss),
            "email": lambda: email_addresses.change(root, "mine@example.org", actor=boss),
        }

        with pytest.raises(PermissionDenied):
            acts[act]()

        root.refresh_from_db()
        assert (root.is_active, root.email) == (True, "root@example.org")

    @pytest.mark.parametrize("role", Role.values)
    def test_the_right_to_change_people_is_needed_by_all_but_administrators(
        self, person, mina, role
    ):
        actor = person("actor", roles=[role])

        if role == Role.ADMIN:
            people.set_roles(mina, ["agent"], actor=actor)
        else:
            with pytest.raises(PermissionDenied):
                people.set_roles(mina, ["member"], actor=actor)

    def test_a_role_of_ones_own_making_is_given_by_who_holds_it(self, boss, mina):
        auditors = Group.objects.create(name="auditors")
        with pytest.raises(PermissionDenied):
            people.set_roles(mina, ["member", "auditors"], actor=boss)

        boss.groups.add(auditors)
        boss = User.objects.get(pk=boss.pk)

        assert people.roles_of(people.set_roles(mina, ["auditors"], actor=boss)) == ["auditors"]

    @pytest.mark.parametrize("roles", [[], ["emperor"], ["member", "emperor"]])
    def test_a_role_that_does_not_exist_is_invalid(self, mina, roles):
        with pytest.raises(Invalid):
            people.set_roles(mina, roles, actor=None)

        assert people.roles_of(mina) == ["member"]

    def test_a_role_that_was_deleted_comes_back(self, mina):
        Group.objects.filter(name="agent").delete()

        assert people.roles_of(people.set_roles(mina, ["agent"], actor=None)) == ["agent"]

    def test_the_migration_seeded_four_and_what_they_may_do(self):
        from importlib import import_module  # noqa: PLC0415

        from django.apps import apps  # noqa: PLC0415

        Group.objects.all().delete()
        import_module("accounts.migrations.0002_roles").seed(apps, None)

        assert set(Group.objects.values_list("name", flat=True)) == set(Role.values)
        supervisor = Group.objects.get(name="supervisor")
        assert list(supervisor.permissions.values_list("codename", flat=True)) == ["view_user"]


class TestTheLastAdministrator:
    @pytest.mark.row("M5")
    @pytest.mark.parametrize("act", ["demote", "suspend", "erase"])
    def test_stays(self, root, act, person):
        """Also when he does it himself, and when the others are suspended."""
        person("gone", roles=[Role.ADMIN], is_active=False)
        acts = {
            "demote": lambda: people.set_roles(root, ["member"], actor=root),
            "suspend": lambda: people.suspend(root, actor=root),
            "erase": lambda: people.erase(root, actor=root),
        }

        with pytest.raises(Conflict):
            acts[act]()

        assert list(User.objects.administrators()) == [root]

    def test_goes_once_there_is_another(self, root, person):
        person("second", roles=[Role.ADMIN])

        people.suspend(root, actor=root)

        assert User.objects.administrators().count() == 1

    @pytest.mark.row("M5")
    @pytest.mark.django_db(transaction=True)
    def test_of_two_who_remove_each_other_at_once_one_stays(self, person):
        """The second waits for the first, then is refused."""
        pair = [person("one", roles=[Role.ADMIN]), person("two", roles=[Role.ADMIN])]

        results = at_once(2, lambda number: people.suspend(pair[number], actor=pair[1 - number]))

        assert sum(isinstance(result, Conflict) for result in results) == 1
        assert User.objects.administrators().count() == 1


class TestSuspension:
    @pytest.mark.row("S3")
    def test_nothing_of_theirs_works_any_more(self, mina, device):
        phone, tablet = device(mina), device(mina)

        people.suspend(mina, actor=None)

        assert not phone.works()
        assert not tablet.works()
        assert Api().login("mina").status_code == 401
        assert sign_ins.live([phone.sign_in_id, tablet.sign_in_id]) == set()

    def test_once_active_again_they_sign_in_anew(self, mina, device):
        phone = device(mina)
        people.suspend(mina, actor=None)

        people.activate(mina, actor=None)

        assert not phone.works()
        assert Api().login("mina").status_code == 200

    @pytest.mark.row("S19")
    def test_all_devices_can_be_signed_out(self, root, mina, device):
        phone = device(mina)

        people.sign_out(mina, actor=root)

        assert not phone.works()
        assert Api().login("mina").status_code == 200

    def test_who_is_live_is_told_for_many_at_once(
        self, mina, person, device, django_assert_num_queries
    ):
        phone, tablet = device(mina), device(mina)
        other = device(person("olga"))
        sign_ins.revoke(mina.pk, only=tablet.sign_in_id)
        asked = [each.sign_in_id for each in (phone, tablet, other)]

        with django_assert_num_queries(1):
            found = sign_ins.live(asked)

        assert {str(pk) for pk in found} == {phone.sign_in_id, other.sign_in_id}


class TestTheFirstAdministrator:
    @pytest.fixture(autouse=True)
    def environment(self, settings):
        settings.ADMIN_USERNAME, settings.ADMIN_EMAIL = "root", "root@example.org"
        settings.ADMIN_PASSWORD = PASSWORD

    def test_is_made_from_the_environment_once(self, settings):
        made = first_admin.ensure()

        assert made
        assert people.roles_of(made) == ["admin"]
        assert Api().login("root").status_code == 200
        settings.ADMIN_USERNAME, settings.ADMIN_EMAIL = "other", "other@example.org"
        assert first_admin.ensure() is None
        assert User.objects.count() == 1

    @pytest.mark.parametrize("name", ["ADMIN_USERNAME", "ADMIN_EMAIL", "ADMIN_PASSWORD"])
    def test_is_not_made_from_half_of_it(self, settings, name):
        setattr(settings, name, "")

        assert first_admin.ensure() is None
        assert not User.objects.exists()

    def test_a_suspended_one_is_one(self, person):
        """Once is once: nobody gets back in by a restart."""
        person("gone", roles=[Role.ADMIN], is_active=False)

        assert first_admin.ensure() is None

    def test_a_weak_password_is_told(self, settings):
        settings.ADMIN_PASSWORD = "password"

        with pytest.raises(Invalid):
            first_admin.ensure()

    @pytest.mark.django_db(transaction=True)
    def test_of_four_processes_at_once_one_makes_it(self, db):
        results = at_once(4, lambda _: first_admin.ensure())

        assert sorted(type(result).__name__ for result in results) == ["NoneType"] * 3 + ["User"]
        assert User.objects.count() == 1


def test_people_are_found_by_name_and_address(mina):
    assert people.find("MINA") == people.find("Mina@example.org") == mina
    with pytest.raises(NotFound):
        people.find("nobody")


@pytest.mark.row("S12")
def test_an_address_set_by_others_is_unproved_and_the_old_one_is_told(mina, committed, mailoutbox):
    with committed():
        email_addresses.change(mina, "new@example.org", actor=None)

    mina.refresh_from_db()
    assert (mina.email, mina.email_key, mina.email_verified_at) == (
        "new@example.org",
        "new@example.org",
        None,
    )
    assert [letter.to for letter in mailoutbox] == [["mina@example.org"]]


@pytest.mark.parametrize("email", ["no address", "olga@example.org"])
def test_an_address_that_cannot_be_is_refused(mina, person, email):
    person("olga")

    with pytest.raises(AppError):
        email_addresses.change(mina, email, actor=None)

    assert User.objects.get(username="mina").email == "mina@example.org"


@pytest.mark.row("S12")
def test_an_address_taken_since_it_was_looked_up_is_told(mina, person, mailoutbox, monkeypatch):
    """The database has the last word, and that is no bug."""

    def free_until_now(email, *, user):
        person("olga", email=email)
        return email

    monkeypatch.setattr("accounts.services.email_addresses.free", free_until_now)

    with pytest.raises(Conflict, match="belongs to another account"):
        email_addresses.change(mina, "new@example.org", actor=None)

    assert User.objects.get(username="mina").email == "mina@example.org"
    assert not mailoutbox


def test_the_same_address_again_is_no_news(mina, committed, mailoutbox):
    with committed():
        email_addresses.change(mina, mina.email, actor=None)

    assert not mailoutbox


@pytest.mark.parametrize(
    "change",
    [
        lambda user: email_addresses.change(user, "new@example.org", actor=None),
        lambda user: profile.update_profile(user, display_name="Mina"),
    ],
    ids=["address", "profile"],
)
def test_who_was_erased_meanwhile_is_not_found(mina, change):
    """Not a bug: two requests came at once."""
    people.erase(User.objects.get(), actor=None)

    with pytest.raises(NotFound):
        change(mina)


def test_who_was_erased_meanwhile_gives_no_right_password(mina):
    """Two requests to erase oneself came at once."""
    people.erase(User.objects.get(), actor=None)

    with pytest.raises(InvalidCredentials):
        confirm_password(mina, password=PASSWORD, address="203.0.113.7")
