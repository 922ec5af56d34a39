"""Looking at the audit trail: by the command and in the admin."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, ManagementUtility, call_command
from django.test import Client

from accounts.models import AuditAction, AuditEntry, TargetKind
from accounts.services import audit, people
from tests.accounts.conftest import added_long_ago, page

pytestmark = pytest.mark.django_db


def test_by_the_command(root, mina, capsys):
    people.set_roles(mina, ["agent"], actor=root)
    added_long_ago(3)

    def rows(*options):
        call_command("audit", "list", *options, "--format", "json")
        return json.loads(capsys.readouterr().out)

    assert [row["action"] for row in rows("--actor", "root")] == ["user.roles_changed"]
    assert rows("--actor", str(root.pk)) == rows("--actor", "root@example.org")
    assert {row["target"] for row in rows("--action", "user.created")} == {"root", "mina"}
    assert len(rows("--about", "mina")) == 2
    assert len(rows("--limit", "1")) == 1
    assert "x" not in {row["action"] for row in rows("--since", "2d")}
    assert "x" in {row["action"] for row in rows("--since", "2020-01-31")}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--actor", "nobody"), 1),
        (("--about", "nobody"), 1),
        (("--since", "soon"), 2),
        (("--action", "none"), 2),
    ],
)
def test_by_a_command_that_is_wrong(db, options, code):
    with pytest.raises((CommandError, SystemExit)) as refused:
        ManagementUtility(["manage.py", "audit", "list", *options]).execute()
    assert getattr(refused.value, "returncode", None) or refused.value.code == code


def test_in_the_admin_without_counting(desk, root, mina, django_assert_max_num_queries):
    people.set_roles(mina, ["agent"], actor=root)
    for query in ("", "?q=mina", f"?q={mina.pk}", "?action=user.created", "?q=nobody"):
        with django_assert_max_num_queries(10) as asked:
            answer = desk.get(page("accounts_auditentry_changelist") + query)
        assert answer.status_code == 200
        counted = [each["sql"] for each in asked.captured_queries if "COUNT(" in each["sql"]]
        assert not counted
        assert ("Roles of a person changed</" in answer.content.decode()) == (
            query in {"", "?q=mina", f"?q={mina.pk}"}
        )


@pytest.mark.parametrize(
    ("language", "kind", "role"), [("en", "Person", "Agent"), ("zh-hans", "用户", "客服")]
)
def test_in_the_admin_in_words_of_people_and_by_the_command_in_codes(
    desk, root, mina, capsys, language, kind, role
):
    people.set_roles(mina, ["agent"], actor=root)
    entry = AuditEntry.objects.get(action="user.roles_changed")
    agents = Group.objects.get(name="agent")
    audit.record(
        AuditAction.ROLE_DELETED,
        actor=root,
        target=audit.Target(TargetKind.ROLE, agents.pk, "agent"),
    )
    type(root).objects.filter(pk=root.pk).update(language=language)

    listed = desk.get(page("accounts_auditentry_changelist")).content.decode()
    shown = desk.get(page("accounts_auditentry_change", entry.pk)).content.decode()
    call_command("audit", "list", "--action", entry.action, "--format", "json")

    assert f"{kind} mina<" in listed
    assert f"roles: {role}" in shown
    assert f" {role}<" in listed
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["kind"], row["after"]) == ("user", {"roles": ["agent"]})


@pytest.mark.parametrize(("language", "role"), [("en", "Agent"), ("zh-hans", "客服")])
def test_people_and_their_filter_name_roles_in_words_of_people(desk, root, mina, language, role):
    people.set_roles(mina, ["agent"], actor=root)
    type(root).objects.filter(pk=root.pk).update(language=language)
    there = page("accounts_user_changelist")

    everyone = desk.get(there).content.decode()
    agents = desk.get(there, {"role": "agent"}).context["cl"].result_list

    assert f">{role}<" in "".join(everyone.split())
    assert "?role=agent" in everyone
    assert list(agents) == [mina]


def test_needs_the_permission(person):
    client = Client()
    client.force_login(person("agent", roles=["agent"], is_staff=True))

    assert client.get(page("accounts_auditentry_changelist")).status_code == 403
