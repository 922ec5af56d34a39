"""The admin: its door, its lists, and that it goes through the services (M1, M2, M5, M6)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.hashers import hashing_slot
from accounts.models import MailLink, Role, SignIn, SignInFailures, User
from accounts.services import recovery
from tests.accounts.conftest import PASSWORD, Api, page

pytestmark = pytest.mark.django_db

NEW = "another fine password"


def enter(name="root", password=PASSWORD, address="203.0.113.7"):
    data = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post("/admin/login/?next=/admin/", data)


class TestTheDoor:
    @pytest.mark.parametrize("name", ["root", "ROOT", "root@example.org"])
    def test_opens_for_staff_by_name_and_address(self, root, name):
        assert enter(name).status_code == 302

    def test_stays_shut_for_others(self, mina):
        assert enter("mina").status_code == 200
        assert not SignIn.objects.exists()

    @pytest.mark.row("M1")
    def test_the_sixth_wrong_password_is_locked_out(self, root):
        for _ in range(5):
            assert "Too many tries" not in enter(password="wrong").content.decode()

        answer = enter()

        assert answer.status_code == 200
        assert "Too many tries" in answer.content.decode()
        assert enter(address="198.51.100.1").status_code == 302

    @pytest.mark.row("M1", "S8")
    def test_shares_its_count_with_the_api(self, root):
        """One function, one table."""
        api = Api()
        for number in range(5):
            enter(password="wrong") if number % 2 else api.login("root", "wrong")

        assert api.login("root").status_code == 429
        assert "Too many tries" in enter().content.decode()

    @pytest.mark.row("S9")
    def test_an_endless_password_is_refused(self, root):
        answer = enter(password="x" * 1_000)

        assert answer.status_code == 200
        assert not SignInFailures.objects.exists()


class TestOnesOwnPassword:
    def change(self, desk, old=PASSWORD, new=NEW, again=None):
        return desk.post(
            "/admin/password_change/",
            {"old_password": old, "new_password1": new, "new_password2": again or new},
        )

    @pytest.mark.row("S19")
    def test_signs_out_every_other_device(self, root, desk, device):
        phone = device(root)

        answer = self.change(desk)

        assert answer.status_code == 302
        assert not phone.works()
        assert desk.get(page("accounts_user_changelist")).status_code == 200
        assert enter(password=NEW).status_code == 302

    @pytest.mark.parametrize(
        "wrong",
        [
            {"old": "wrong"},
            {"new": "short77"},
            {"new": "password"},
            {"new": "x" * 129},
            {"again": "differs 1"},
        ],
        ids=str,
    )
    def test_refuses_what_the_api_refuses(self, root, desk, wrong):
        answer = self.change(desk, **wrong)

        assert answer.status_code == 200
        assert enter().status_code == 302

    @pytest.mark.row("S8")
    def test_counts_wrong_ones(self, root, desk):
        for _ in range(5):
            self.change(desk, old="wrong")

        assert "Too many tries" in self.change(desk).content.decode()


class TestPeople:
    @pytest.fixture
    def form(self, mina):
        return {
            "email": mina.email,
            "display_name": "",
            "language": "",
            "timezone": "",
            "roles": ["member"],
            "password": "",
        }

    def save(self, desk, user, form, **changes):
        return desk.post(page("accounts_user_change", user.pk), form | changes)

    def test_are_found_by_name_and_address(self, desk, mina, person):
        person("olga")
        for query in ("min", "mina@ex"):
            html = desk.get(page("accounts_user_changelist"), {"q": query}).content.decode()
            assert "mina@example.org" in html
            assert "olga@example.org" not in html

    def test_a_long_list_costs_no_more_queries(self, desk, person, django_assert_max_num_queries):
        for number in range(30):
            person(f"user{number}")

        with django_assert_max_num_queries(10) as captured:
            assert desk.get(page("accounts_user_changelist")).status_code == 200

        assert not any("COUNT(" in query["sql"] for query in captured.captured_queries)

    @pytest.mark.row("M2")
    def test_no_secret_is_shown(self, desk, mina, device, committed, mailoutbox):
        phone = device(mina)
        with committed():
            recovery.forgot_password(mina.email, address="203.0.113.7")
        sign_in = SignIn.objects.get(pk=phone.sign_in_id)
        link = MailLink.objects.get()
        secrets = [mina.password, str(sign_in.refresh_id), link.digest, phone.refresh]

        for address in (
            page("accounts_user_changelist"),
            page("accounts_user_change", mina.pk),
            page("accounts_signin_changelist"),
            page("accounts_signin_change", sign_in.pk),
            page("accounts_maillink_changelist"),
            page("accounts_maillink_change", link.pk),
            page("accounts_user_history", mina.pk),
        ):
            html = desk.get(address).content.decode()
            assert not [secret for secret in secrets if secret in html]

    def test_are_made_with_a_password_and_roles(self, desk):
        answer = desk.post(
            page("accounts_user_add"),
            {
                "username": "Olga",
                "email": "olga@example.org",
                "password": PASSWORD,
                "roles": ["agent"],
            },
        )

        assert answer.status_code == 302
        user = User.objects.get(username="Olga")
        assert list(user.groups.values_list("name", flat=True)) == ["agent"]
        assert Api().login("olga").json()["user"]["roles"] == ["agent"]

    @pytest.mark.row("S11", "S12", "S15")
    @pytest.mark.parametrize(
        "wrong",
        [
            {"username": "\u0430dmin"},
            {"username": "MINA"},
            {"username": ""},
            {"email": "Mina@example.org"},
            {"email": "no address"},
            {"password": "password"},
            {"password": ""},
            {"roles": []},
            {"roles": ["emperor"]},
        ],
        ids=str,
    )
    def test_are_not_made_against_the_rules(self, desk, mina, wrong):
        data = {
            "username": "olga",
            "email": "olga@example.org",
            "password": PASSWORD,
            "roles": ["agent"],
        }

        answer = desk.post(page("accounts_user_add"), data | wrong)

        assert answer.status_code == 200
        assert User.objects.count() == 2

    def test_are_not_made_while_the_hasher_is_busy(self, desk, settings):
        """That is told, and nobody without a name is stored."""
        settings.PASSWORD_HASHERS = ["accounts.hashers.BoundedArgon2Hasher"]
        settings.PASSWORD_HASHES_AT_ONCE, settings.PASSWORD_HASH_WAIT_SECONDS = 1, 0
        data = {
            "username": "olga",
            "email": "olga@example.org",
            "password": PASSWORD,
            "roles": ["agent"],
        }

        with hashing_slot():
            answer = desk.post(page("accounts_user_add"), data)

        assert answer.status_code == 200
        assert "Too many requests" in answer.content.decode()
        assert User.objects.count() == 1

    def test_are_changed_field_by_field(self, desk, mina, form):
        answer = self.save(
            desk,
            mina,
            form,
            display_name="Mina K.",
            language="zh-hans",
            timezone="Europe/Berlin",
            roles=["agent", "member"],
        )

        assert answer.status_code == 302
        mina.refresh_from_db()
        assert (mina.display_name, mina.language, mina.timezone) == (
            "Mina K.",
            "zh-hans",
            "Europe/Berlin",
        )
        assert set(mina.groups.values_list("name", flat=True)) == {"agent", "member"}

    def test_keep_their_name_where_the_new_one_would_hide_what_it_is(self, desk, mina, form):
        answer = self.save(desk, mina, form, display_name="Mina\u202e")

        assert "visible characters" in answer.content.decode()
        mina.refresh_from_db()
        assert mina.display_name == ""

    @pytest.mark.row("S3")
    def test_get_a_new_password_and_are_signed_out(self, desk, mina, form, device):
        phone = device(mina)

        assert self.save(desk, mina, form, password=NEW).status_code == 302

        assert not phone.works()
        assert Api().login("mina", NEW).status_code == 200

    def test_keep_password_and_devices_otherwise(self, desk, mina, form, device):
        phone = device(mina)

        self.save(desk, mina, form, display_name="M")

        assert phone.works()
        assert Api().login("mina").status_code == 200

    @pytest.mark.row("S12")
    def test_get_a_new_address_and_the_old_one_is_told(
        self, desk, mina, form, committed, mailoutbox
    ):
        with committed():
            self.save(desk, mina, form, email="new@example.org")

        assert Api().login("new@example.org").status_code == 200
        assert [letter.to for letter in mailoutbox] == [["mina@example.org"]]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"email": "root@example.org"},
            {"email": "x"},
            {"password": "short"},
            {"timezone": "Mars/Base"},
            {"language": "tlh"},
            {"roles": []},
        ],
        ids=str,
    )
    def test_are_not_changed_against_the_rules(self, desk, mina, form, wrong):
        before = User.objects.filter(pk=mina.pk).values().get()

        assert self.save(desk, mina, form, **wrong).status_code == 200

        assert User.objects.filter(pk=mina.pk).values().get() == before

    @pytest.mark.row("M5")
    def test_the_last_administrator_keeps_the_role_and_stays(self, desk, root, form):
        answer = self.save(desk, root, form, email=root.email, roles=["member"])
        assert answer.status_code == 302
        assert "last administrator" in desk.get(answer.url).content.decode()

        answer = desk.post(page("accounts_user_delete", root.pk), {"post": "yes"})
        assert "last administrator" in desk.get(answer.url).content.decode()

        root.refresh_from_db()
        assert root.is_superuser

    @pytest.mark.row("M5")
    def test_a_deputy_makes_no_administrator(self, person, root, mina, form):
        deputy = person("deputy", roles=[Role.SUPERVISOR], is_staff=True)
        codenames = ["view_user", "change_user", "add_user", "delete_user"]
        deputy.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(deputy)

        made = {
            "username": "x99",
            "email": "x@example.org",
            "password": PASSWORD,
            "roles": ["admin"],
        }
        assert client.post(page("accounts_user_add"), made).status_code == 403
        assert self.save(client, mina, form, roles=["admin"]).status_code == 403
        assert self.save(client, root, form, email=root.email, password=NEW).status_code == 403
        assert (
            client.post(page("accounts_user_delete", root.pk), {"post": "yes"}).status_code == 403
        )

        assert list(User.objects.administrators()) == [root]
        assert enter().status_code == 302
        assert self.save(client, mina, form, roles=["agent"]).status_code == 302
