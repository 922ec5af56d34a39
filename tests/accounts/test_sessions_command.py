"""`manage.py sessions` and `manage.py changepassword`: devices listed, ended, and on record."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from accounts.models import AuditAction, AuditEntry, User
from tests.accounts.conftest import PASSWORD, Api

pytestmark = pytest.mark.django_db

NEW = "another fine password"


@pytest.fixture
def olga(person):
    return person("olga")


def revoked():
    entries = AuditEntry.objects.filter(action=AuditAction.SESSION_REVOKED).order_by("id")
    return [(entry.who, entry.target_label, entry.after) for entry in entries]


class TestSessions:
    def rows(self, run, *words):
        code, out, _err = run("sessions", *words, "--format", "json")
        assert code == 0
        return json.loads(out)

    def test_live_ones_are_listed_the_newest_first(self, run, mina, olga, device):
        phone, gone, tablet = device(mina), device(olga), device(olga)
        run("sessions", "revoke", "olga", "--session", gone.sign_in_id)

        listed = self.rows(run, "list")

        assert [row["id"] for row in listed] == [tablet.sign_in_id, phone.sign_in_id]
        assert [row["user"] for row in listed] == ["olga", "mina"]
        assert (listed[0]["client"], listed[0]["address"]) == ("tests", "203.0.113.7")
        assert [row["user"] for row in self.rows(run, "list", "--user", "MINA")] == ["mina"]
        assert len(self.rows(run, "list", "--limit", "1")) == 1
        assert phone.access not in str(listed)

    @pytest.mark.row("S19")
    def test_all_of_a_person_end_at_once(self, run, mina, olga, device):
        phone, tablet, other = device(mina), device(mina), device(olga)

        assert self.rows(run, "revoke", "mina") == {"user": "mina", "revoked": 2}

        assert [each.works() for each in (phone, tablet, other)] == [False, False, True]
        assert revoked() == [("Parley", "mina", {"sessions": 2})]

    def test_one_ends_and_the_others_stay(self, run, mina, device):
        phone, tablet = device(mina), device(mina)

        run("sessions", "revoke", "mina", "--session", phone.sign_in_id)

        assert (phone.works(), tablet.works()) == (False, True)

    def test_everybody_s_end(self, run, mina, olga, device):
        devices = [device(mina), device(olga)]

        assert self.rows(run, "revoke", "--everyone") == {"revoked": 2}
        assert self.rows(run, "revoke", "--everyone") == {"revoked": 0}

        assert not any(each.works() for each in devices)
        assert revoked() == [("Parley", "", {"sessions": 2, "reason": "everyone"})]

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("revoke",), 2),
            (("revoke", "mina", "--everyone"), 2),
            (("revoke", "--everyone", "--session", str(uuid4())), 2),
            (("revoke", "nobody"), 1),
            (("revoke", "mina", "--session", str(uuid4())), 1),
            (("list", "--user", "nobody"), 1),
        ],
    )
    def test_what_names_nobody_is_refused(self, run, mina, device, words, code):
        phone = device(mina)

        assert run("sessions", *words)[0] == code

        assert phone.works()

    def test_a_device_of_another_person_is_none_of_theirs(self, run, mina, olga, device):
        phone = device(olga)

        assert run("sessions", "revoke", "mina", "--session", phone.sign_in_id)[0] == 1
        assert phone.works()


class TestChangePassword:
    @pytest.mark.row("S3")
    def test_signs_every_device_out_and_is_on_record(self, run, mina, device):
        """Django's own command would leave them signed in."""
        phone = device(mina)

        code, out, _err = run("changepassword", "mina", "--password-stdin", stdin=NEW + "\n")

        assert code == 0
        assert NEW not in out
        assert not phone.works()
        assert Api().login("mina").status_code == 401
        assert Api().login("mina", NEW).status_code == 200
        entry = AuditEntry.objects.get(action=AuditAction.PASSWORD_CHANGED)
        assert (entry.who, entry.target_label) == ("Parley", "mina")

    @pytest.mark.parametrize(
        ("name", "password", "code"),
        [("nobody", NEW, 1), ("mina", "password", 1), ("mina", "mina1", 1)],
    )
    def test_what_cannot_be_changes_nothing(self, run, mina, name, password, code):
        assert run("changepassword", name, "--password-stdin", stdin=password)[0] == code
        assert User.objects.get().check_password(PASSWORD)
