"""The audit trail: who did what, kept as it was, and without secrets (M7, G4, G5, K4)."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group, Permission
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import AppendOnly, AuditAction, AuditEntry, SignIn, SignInFailures
from accounts.services import audit, email_addresses, people, sign_ins
from accounts.services.tokens import issue
from common import purging
from common.errors import AppError
from tests.accounts.conftest import PASSWORD, Api, added_long_ago, link_in, page

pytestmark = pytest.mark.django_db

NEW = "another fine password"
AGENT = "tests/1.0"


def trail(action: AuditAction | None = None) -> list[AuditEntry]:
    rows = AuditEntry.objects.get_queryset().order_by("id")
    return list(rows.filter(action=action) if action else rows)


def the_one(action: AuditAction) -> AuditEntry:
    (entry,) = trail(action)
    return entry


def refused(statement: str) -> None:
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.row("M7")
class TestItIsAppendOnly:
    """M7"""

    @pytest.fixture
    def entry(self, root):
        audit.record(AuditAction.USER_SUSPENDED, actor=root, target=audit.person(root))
        return trail()[-1]

    def test_for_the_model(self, entry):
        rows = AuditEntry.objects.get_queryset()
        for change in (
            entry.save,
            entry.delete,
            lambda: rows.update(action="x"),
            rows.delete,
            lambda: rows.bulk_update([entry], ["action"]),
        ):
            with pytest.raises(AppendOnly):
                change()

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM accounts_auditentry",
            "UPDATE accounts_auditentry SET action = 'x'",
            "UPDATE accounts_auditentry SET actor_name = 'x'",
            "UPDATE accounts_auditentry SET address = '192.0.2.1'",
            "UPDATE accounts_auditentry SET actor_id = NULL",
            "UPDATE accounts_auditentry SET after = '{\"x\": 1}'",
            "UPDATE accounts_auditentry SET created_at = '2000-01-01 00:00:00'",
        ],
    )
    def test_for_whoever_holds_the_database(self, entry, statement):
        refused(statement)

        assert trail()[-1].actor_name == "root"

    def test_for_a_statement_that_asks_no_trigger_of_rows(self, entry):
        by_vendor = {
            "sqlite": "REPLACE INTO accounts_auditentry SELECT * FROM accounts_auditentry",
            "postgresql": "TRUNCATE accounts_auditentry",
        }

        refused(by_vendor[connection.vendor])

        assert entry in trail()

    def test_for_the_admin(self, desk, entry):
        assert desk.get(page("accounts_auditentry_changelist")).status_code == 200
        shown = desk.get(page("accounts_auditentry_change", entry.pk))
        assert shown.status_code == 200
        assert "Person suspended" in shown.content.decode()
        for name in ("change", "delete"):
            address = page(f"accounts_auditentry_{name}", entry.pk)
            assert desk.post(address, {"post": "yes", "action": "x"}).status_code == 403
        assert desk.get(page("accounts_auditentry_add")).status_code == 403

    @pytest.mark.row("G5")
    def test_but_what_is_older_than_400_days_is_purged(self, entry):
        added_long_ago(401)
        young = added_long_ago(399)

        assert purging.Purged("audit entries", 1) in purging.purge()

        assert {each.pk for each in trail()} >= {young.pk, entry.pk}


@pytest.mark.row("M7")
class TestWhatIsRecorded:
    def test_a_sign_in_with_where_it_came_from(self, mina):
        Api().post(
            "auth/login",
            {"username": "mina", "password": PASSWORD},
            HTTP_USER_AGENT=AGENT,
            HTTP_X_REQUEST_ID="a-request-of-ours",
        )

        entry = the_one(AuditAction.SIGN_IN)
        assert (entry.actor_id, entry.actor_name) == (mina.pk, "mina")
        assert (entry.target_kind, entry.target_id) == ("session", str(SignIn.objects.get().pk))
        assert (entry.address, entry.client) == ("203.0.113.7", AGENT)
        assert entry.request_id == "a-request-of-ours"

    def test_a_sign_in_at_the_admin(self, root):
        Client(REMOTE_ADDR="203.0.113.7").post(
            "/admin/login/", {"username": "root", "password": PASSWORD}
        )

        assert the_one(AuditAction.SIGN_IN).actor_id == root.pk

    @pytest.mark.parametrize(
        ("name", "password", "reason"),
        [
            ("mina", "wrong horse 9!", "wrong"),
            ("gone", PASSWORD, "suspended"),
            ("nobody", PASSWORD, "unknown"),
        ],
    )
    def test_a_refused_sign_in_without_the_name_that_was_typed(
        self, mina, person, name, password, reason
    ):
        person("gone", is_active=False)

        assert Api().login(name, password).status_code == 401

        entry = the_one(AuditAction.SIGN_IN_REFUSED)
        assert (entry.actor_id, entry.who, entry.after) == (None, "nobody", {"reason": reason})
        assert entry.target_label == ("" if reason == "unknown" else name)
        assert entry.address == "203.0.113.7"

    def test_a_lock_once_however_often_one_knocks(self, mina):
        for _ in range(9):
            Api().login("mina", "wrong horse 9!")

        assert len(trail(AuditAction.SIGN_IN_REFUSED)) == 5
        lock = the_one(AuditAction.SIGN_IN_LOCKED)
        assert (lock.target_id, lock.after) == (str(mina.pk), {"scope": "account_address"})

    @pytest.mark.parametrize("by_list", [True, False])
    def test_a_door_that_somebody_opened_again(self, desk, mina, by_list):
        Api().login("mina", "wrong horse 9!")
        count = SignInFailures.objects.get(scope="account")
        if by_list:
            asked = {"action": "delete_selected", "_selected_action": [count.pk], "post": "yes"}
            desk.post(page("accounts_signinfailures_changelist"), asked)
        else:
            desk.post(page("accounts_signinfailures_delete", count.pk), {"post": "yes"})

        entry = the_one(AuditAction.SIGN_IN_UNLOCKED)
        assert (entry.actor_name, entry.target_id) == ("root", str(count.pk))
        assert entry.before == {"scope": "account", "count": 1}
        assert not SignInFailures.objects.filter(pk=count.pk).exists()

    def test_a_wrong_password_of_somebody_signed_in(self, mina, device):
        device(mina).call("DELETE", "users/me", {"password": "wrong horse 9!"})

        assert the_one(AuditAction.PASSWORD_REFUSED).actor_id == mina.pk

    def test_a_newcomer_and_one_made_by_others(self, root, desk):
        answer = Api().post(
            "auth/register",
            {"username": "newcomer", "email": "n@example.org", "password": PASSWORD},
        )
        desk.post(
            page("accounts_user_add"),
            {
                "username": "olga",
                "email": "olga@example.org",
                "password": PASSWORD,
                "roles": ["agent"],
            },
        )

        own, made = trail(AuditAction.USER_CREATED)[-2:]
        assert answer.status_code == 201
        assert (own.actor_name, own.target_label) == ("newcomer", "newcomer")
        assert (made.actor_name, made.target_label) == ("root", "olga")
        assert made.after == {"roles": ["agent"]}

    def test_roles_before_and_after(self, root, mina):
        people.set_roles(mina, ["agent"], actor=root)
        people.set_roles(mina, ["agent"], actor=root)

        entry = the_one(AuditAction.USER_ROLES)
        assert (entry.actor_name, entry.target_label) == ("root", "mina")
        assert (entry.before, entry.after) == ({"roles": ["member"]}, {"roles": ["agent"]})

    def test_suspending_and_activating_by_a_command(self, mina):
        call_command("user", "suspend", "mina", format="json")
        call_command("user", "suspend", "mina", format="json")
        call_command("user", "activate", "mina", format="json")

        for action in (AuditAction.USER_SUSPENDED, AuditAction.USER_ACTIVATED):
            entry = the_one(action)
            assert (entry.who, entry.client) == ("Parley", "manage.py user")

    def test_a_password_that_was_changed_and_one_that_was_reset(self, mina, device, link):
        device(mina).call(
            "POST", "users/me/change-password", {"old_password": PASSWORD, "new_password": NEW}
        )
        assert the_one(AuditAction.PASSWORD_CHANGED).actor_id == mina.pk
        assert not trail(AuditAction.PASSWORD_RESET)

    def test_a_reset(self, mina, link):
        assert Api().post("auth/reset-password", {**link, "password": NEW}).status_code == 204

        assert the_one(AuditAction.PASSWORD_RESET).target_id == str(mina.pk)

    def test_devices_that_are_signed_out(self, root, mina, device):
        phone, tablet = device(mina), device(mina)
        Api().post("auth/logout", {"refresh_token": phone.refresh})
        Api().post("auth/logout", {"refresh_token": phone.refresh})
        people.sign_out(mina, actor=root)

        own, by_root = trail(AuditAction.SESSION_REVOKED)
        assert (own.actor_name, own.after) == ("mina", {"sessions": 1})
        assert (by_root.actor_name, by_root.target_label) == ("root", "mina")
        assert not tablet.works()

    def test_a_token_that_was_used_twice(self, mina, device):
        phone = device(mina)
        Api().post("auth/refresh", {"refresh_token": phone.refresh})
        Api().post("auth/refresh", {"refresh_token": phone.refresh})

        entry = the_one(AuditAction.SESSION_REVOKED)
        assert (entry.actor_id, entry.after["reason"]) == (None, "a token was used twice")

    def test_what_a_role_may_do(self, root, desk):
        role = Group.objects.get(name="agent")
        right = Permission.objects.get(codename="view_user")
        desk.post(page("auth_group_change", role.pk), {"permissions": [right.pk]})

        entry = the_one(AuditAction.ROLE_CHANGED)
        assert (entry.actor_name, entry.target_label) == ("root", "agent")
        assert entry.after == {"permissions": ["accounts.view_user"]}

    def test_a_change_that_fails_leaves_no_entry(self, root):
        with pytest.raises(AppError):
            people.suspend(root, actor=root)

        assert not trail(AuditAction.USER_SUSPENDED)

    def test_a_sign_in_costs_one_statement_more(self, mina, django_assert_num_queries):
        begun = sign_ins.open_for

        with django_assert_num_queries(4):  # the savepoint's two, the row, its entry
            begun(mina)


@pytest.mark.row("G4")
class TestAnErasedPerson:
    """G4"""

    def test_leaves_an_id_and_no_name(self, root, mina, device, committed, mailoutbox):
        api = Api("198.51.100.9")
        api.client.defaults["HTTP_USER_AGENT"] = "mina's phone"
        api.login("mina", "wrong horse 9!")
        api.login("mina")
        Client(REMOTE_ADDR="203.0.113.7").get("/info")  # from here on it is root who acts
        people.suspend(mina, actor=root)
        people.activate(mina, actor=root)
        email_addresses.change(mina, "other@example.org", actor=root)

        people.erase(mina, actor=root)

        rows = json.dumps(list(AuditEntry.objects.values()), default=str)
        for canary in ("mina", "example.org", "198.51.100.9"):
            assert canary not in rows
        erased = the_one(AuditAction.USER_ERASED)
        assert (erased.actor_name, erased.target_kind) == ("root", "user")
        assert the_one(AuditAction.SIGN_IN).actor_id is not None

    def test_who_goes_alone_leaves_not_even_an_address(self, mina, device):
        device(mina).call("DELETE", "users/me", {"password": PASSWORD}, HTTP_USER_AGENT=AGENT)

        erased = the_one(AuditAction.USER_ERASED)
        assert (erased.actor_name, erased.target_label) == ("", "")
        assert (erased.address, erased.client) == ("", "")
        assert erased.who == str(erased.actor_id)


@pytest.mark.row("K4", "M7")
def test_no_secret_is_in_any_row(root, desk, mina, forgot, settings):
    """Passwords, tokens, keys and cookies, after a day full of them."""
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    secrets = [PASSWORD, NEW, "wrong horse 9!", "sk-canary-0123456789"]
    api = Api()
    api.login("mina", "wrong horse 9!")
    api.login("wrong horse 9!", "wrong horse 9!")
    told = api.login("mina").json()
    again = api.post("auth/refresh", {"refresh_token": told["refresh_token"]}).json()
    forgot()
    given = link_in(mail.outbox.pop())[1]
    api.post("auth/reset-password", {**given, "password": NEW})
    phone = issue(sign_ins.open_for(mina))
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {phone.access_token}"}
    mine = {"name": "mine", "provider": "openai_compatible", "scope": "personal"}
    mine["base_url"] = "http://127.0.0.1:8159/v1"
    made = api.post("connections", mine | {"api_key": secrets[3]}, **bearer).json()
    api.call("PATCH", f"connections/{made['id']}", {"api_key": secrets[3] + "x"}, **bearer)
    api.call(
        "POST",
        "users/me/change-password",
        {"old_password": NEW, "new_password": PASSWORD},
        **bearer,
    )
    api.post("auth/logout", {"refresh_token": phone.refresh_token})
    secrets += [told["access_token"], told["refresh_token"], again["refresh_token"]]
    secrets += [given["token"], phone.access_token, phone.refresh_token]
    secrets += [desk.cookies["session"].value]

    rows = json.dumps(list(AuditEntry.objects.values()), default=str)

    words = {entry.action for entry in trail()}
    assert words >= {"connection.created", "connection.key_replaced", "password.reset"}
    for secret in secrets:
        assert secret not in rows
        assert secret.rpartition(".")[2] not in rows


@pytest.mark.parametrize("name", ["password", "api_key", "access_token", "email", "client_secret"])
def test_a_field_that_may_hold_a_secret_is_a_bug(db, name):
    with pytest.raises(ValueError, match="never recorded"):
        audit.record(AuditAction.SETTINGS_CHANGED, actor=None, after={name: "x"})

    assert not trail()
