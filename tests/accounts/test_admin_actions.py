"""What an operator does to many at once, and the records in the admin (M5, M6)."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.models import AuditEntry, Letter, OutgoingMail, Role, SignInFailures, User
from accounts.services import mails, people
from accounts.signals import user_erasing
from tests.accounts.conftest import Api, page

pytestmark = pytest.mark.django_db


class TestActions:
    def act(self, desk, action, *users):
        data = {"action": action, "_selected_action": [str(user.pk) for user in users]}
        return desk.post(page("accounts_user_changelist"), data, follow=True).content.decode()

    @pytest.mark.row("M6", "S3")
    def test_suspend_and_activate(self, desk, mina, device):
        phone = device(mina)

        self.act(desk, "suspend", mina)
        assert not phone.works()
        assert Api().login("mina").status_code == 401

        self.act(desk, "activate", mina)
        assert Api().login("mina").status_code == 200

    @pytest.mark.row("M5")
    def test_one_refusal_stops_no_other(self, desk, root, mina):
        html = self.act(desk, "suspend", root, mina)

        assert "last administrator" in html
        assert list(User.objects.active()) == [root]

    @pytest.mark.row("S19")
    def test_sign_out_everywhere(self, desk, mina, device):
        phone = device(mina)

        self.act(desk, "sign_out", mina)

        assert not phone.works()

    def test_send_a_link(self, desk, mina, committed, mailoutbox):
        with committed():
            self.act(desk, "send_reset_link", mina)

        assert [letter.to for letter in mailoutbox] == [["mina@example.org"]]
        assert AuditEntry.objects.get(action="password.link_sent").target_id == str(mina.pk)

    def test_send_no_link_to_the_suspended(self, desk, mina):
        people.suspend(mina, actor=None)

        html = self.act(desk, "send_reset_link", mina)

        assert "A suspended person gets no link" in html
        assert not OutgoingMail.objects.exists()

    @pytest.mark.row("M6")
    @pytest.mark.parametrize("many", [False, True])
    def test_deleting_erases_as_the_person_would(self, desk, mina, device, many):
        heard, _phone = [], device(mina)

        def hear(sender, *, user, **kwargs):
            heard.append(user.username)

        user_erasing.connect(hear)
        if many:
            data = {"action": "delete_selected", "_selected_action": [str(mina.pk)], "post": "yes"}
            desk.post(page("accounts_user_changelist"), data)
        else:
            desk.post(page("accounts_user_delete", mina.pk), {"post": "yes"})

        assert heard == ["mina"]
        assert not User.objects.filter(username="mina").exists()


class TestRecords:
    def test_every_list_opens(self, desk, mina, device):
        device(mina)
        mails.post(Letter.RESET, address="x@example.org")
        Api().login("mina", "wrong")

        for name in ("signin", "outgoingmail", "maillink", "signinfailures"):
            assert desk.get(page(f"accounts_{name}_changelist")).status_code == 200
        assert desk.get(page("auth_group_changelist")).status_code == 200
        assert OutgoingMail.objects.count() == 1

    def test_a_device_is_signed_out_from_its_list(self, desk, mina, device):
        phone = device(mina)

        data = {"action": "end", "_selected_action": [phone.sign_in_id]}
        desk.post(page("accounts_signin_changelist"), data)

        assert not phone.works()

    def test_a_device_cannot_be_edited(self, desk, mina, device):
        phone = device(mina)

        answer = desk.post(page("accounts_signin_change", phone.sign_in_id), {"address": "1.1.1.1"})

        assert answer.status_code == 403
        assert desk.get(page("accounts_signin_add")).status_code == 403

    def test_who_may_only_look_ends_nothing(self, person, mina, device):
        viewer = person("viewer", is_staff=True)
        viewer.user_permissions.add(Permission.objects.get(codename="view_signin"))
        client, phone = Client(), device(mina)
        client.force_login(viewer)

        data = {"action": "end", "_selected_action": [phone.sign_in_id]}
        client.post(page("accounts_signin_changelist"), data)

        assert phone.works()

    def test_a_locked_door_can_be_opened(self, desk, mina):
        for _ in range(5):
            Api().login("mina", "wrong")
        assert Api().login("mina").status_code == 429

        row = SignInFailures.objects.get(scope="account_address")
        desk.post(page("accounts_signinfailures_delete", row.pk), {"post": "yes"})

        assert Api().login("mina").status_code == 200

    def test_permissions_are_named_in_the_reader_s_language(self, desk, root):
        User.objects.filter(pk=root.pk).update(language="zh-hans")
        role = Group.objects.get(name="agent")

        html = desk.get(page("auth_group_change", role.pk)).content.decode()

        assert "审计记录 | 查看<" in html
        assert "对话 | 可查看他人的对话，须说明理由<" in html  # noqa: RUF001
        assert "Can " not in html

    def test_roles_keep_their_names_and_get_permissions(self, desk):
        agent = Group.objects.get_or_create(name="agent")[0]
        permission = Permission.objects.get(codename="view_user")

        desk.post(
            page("auth_group_change", agent.pk),
            {"name": "boss", "permissions": [str(permission.pk)]},
        )

        agent.refresh_from_db()
        assert agent.name == "agent"
        assert list(agent.permissions.all()) == [permission]

    @pytest.mark.parametrize(
        "name", ["Admin", "\uff41dmin", "aud\u202eitors", "\u200b", "Auditors"]
    )
    def test_no_role_passes_for_another(self, desk, name):
        Group.objects.create(name="auditors")

        desk.post(page("auth_group_add"), {"name": name})

        assert set(Group.objects.values_list("name", flat=True)) == {*Role.values, "auditors"}

    def test_a_role_of_one_s_own_is_made_and_renamed(self, desk):
        desk.post(page("auth_group_add"), {"name": "auditors"})
        own = Group.objects.get(name="auditors")
        desk.post(page("auth_group_change", own.pk), {"name": "Auditors"})

        own.refresh_from_db()
        assert own.name == "Auditors"

    @pytest.mark.parametrize("key", ["9" * 30, "-" + "9" * 30, "x", ""])
    def test_a_permission_that_cannot_be_is_refused(self, desk, key):
        """Above all rows: no input causes a 500."""
        answer = desk.post(page("auth_group_add"), {"name": "auditors", "permissions": [key]})

        assert answer.status_code == 200
        assert not Group.objects.filter(name="auditors").exists()

    @pytest.mark.parametrize("many", [False, True])
    def test_a_seeded_role_is_not_deleted(self, desk, many):
        agent = Group.objects.get_or_create(name="agent")[0]
        own = Group.objects.create(name="auditors")
        data = {
            "action": "delete_selected",
            "_selected_action": [str(agent.pk), str(own.pk)],
            "post": "yes",
        }

        if many:
            desk.post(page("auth_group_changelist"), data)
        else:
            desk.post(page("auth_group_delete", agent.pk), {"post": "yes"})

        assert Group.objects.filter(name="agent").exists()
        desk.post(page("auth_group_delete", own.pk), {"post": "yes"})
        assert not Group.objects.filter(name="auditors").exists()


class TestChangingRoles:
    def act(self, desk, users, **answer):
        data = {"action": "change_roles", "_selected_action": [str(user.pk) for user in users]}
        url = page("accounts_user_changelist")
        return desk.post(url, data | answer, follow=True).content.decode()

    def test_asks_which_and_changes_nothing_yet(self, desk, mina):
        html = self.act(desk, [mina])

        assert "mina" in html
        assert 'name="roles"' in html
        assert people.roles_of(mina) == ["member"]

    @pytest.mark.row("M6")
    def test_gives_exactly_these(self, desk, mina, person):
        olga = person("olga")

        self.act(desk, [mina, olga], answered="yes", roles=["agent", "supervisor"])

        for user in (mina, olga):
            assert people.roles_of(User.objects.get(pk=user.pk)) == ["supervisor", "agent"]
        assert AuditEntry.objects.filter(action="user.roles_changed").count() == 2

    def test_none_is_no_answer(self, desk, mina):
        html = self.act(desk, [mina], answered="yes")

        assert "This field is required." in html
        assert people.roles_of(mina) == ["member"]

    @pytest.mark.row("M5")
    def test_the_last_administrator_keeps_the_role(self, desk, root, mina):
        html = self.act(desk, [root, mina], answered="yes", roles=["agent"])

        assert "last administrator" in html
        assert people.roles_of(User.objects.get(pk=root.pk)) == ["admin"]
        assert people.roles_of(User.objects.get(pk=mina.pk)) == ["agent"]
