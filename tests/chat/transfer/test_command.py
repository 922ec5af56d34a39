"""`manage.py conversation …`: what it does, prints and exits with."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry
from chat.models import Conversation, Message
from tests.chat.rows import chain
from tests.chat.transfer.files import chatgpt, exported, node, own, said, shape, talk

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(monkeypatch):
    """Run as from a shell: (exit code, stdout, stderr)."""

    def command(*words, piped=b""):
        out, err, raw = io.StringIO(), io.StringIO(), io.BytesIO()
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(piped)))
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=raw, write=out.write))
        try:
            call_command("conversation", *map(str, words), stdout=out, stderr=err)
        except CommandError as error:
            return error.returncode, out.getvalue(), str(error)
        except SystemExit as end:
            return end.code, out.getvalue(), err.getvalue()
        return 0, out.getvalue() or raw.getvalue(), err.getvalue()

    return command


def answered(ended):
    code, out, err = ended
    assert code == 0, err
    return json.loads(out)


def actions():
    return [(each.action, each.target_id) for each in AuditEntry.objects.order_by("id")]


@pytest.fixture
def plans(conversation):
    chain(conversation, 3)
    Conversation.objects.filter(pk=conversation.pk).update(title="Plans")
    return conversation


def test_conversations_are_listed(run, plans, charlie):
    other = Conversation.objects.create(owner=charlie.user, title="Other", archived=True)

    def ids(*words):
        return [each["id"] for each in answered(run("list", *words, "--format", "json"))]

    assert set(ids()) == {str(plans.pk), str(other.pk)}
    assert ids("--user", "charlie") == ids("--archived") == [str(other.pk)]
    assert ids("--search", "plan") == [str(plans.pk)]
    assert len(ids("--limit", "1")) == 1
    (row,) = answered(run("list", "--user", "alice", "--format", "json"))
    assert (row["owner"], row["messages"], row["cost"]) == ("alice", 3, "0.000000")


def test_one_is_shown_and_that_is_recorded(run, plans):
    """M4: on the command line too."""
    found = answered(run("show", plans.pk, "--limit", 2, "--reason", "a bug", "--format", "json"))

    assert found["transcript"] == ["assistant: word 1", "user: word 2"]
    assert actions() == [("conversation.read", str(plans.pk))]
    entry = AuditEntry.objects.get()
    assert (entry.after["reason"], entry.who) == ("a bug", "Parley")
    assert "conversation" in entry.client


def test_export_and_import_fit_together(run, plans, charlie, tmp_path):
    before = shape(exported(plans))
    file = tmp_path / "all.json"
    code, _out, err = run("export", "--user", "alice", "--all", "-o", file)
    assert code == 0, err

    told = answered(run("import", "--user", "charlie", file, "--format", "json"))

    assert (told["added"], told["messages"]) == (1, 3)
    (found,) = Conversation.objects.visible_to(charlie.user)
    assert told["ids"] == [str(found.pk)]
    assert shape(exported(found))[0]["messages"] == before[0]["messages"]
    assert actions() == [("conversation.read", str(plans.pk))]


def test_a_pipe_takes_and_gives_bytes(run, plans):
    code, sent, err = run("export", plans.pk)
    assert code == 0, err
    plans.delete()

    told = answered(run("import", "--user", "alice", "-", "--format", "json", piped=sent))

    assert told["messages"] == 3


def test_chatgpts_file_is_taken_and_a_repeat_adds_nothing(run, alice, tmp_path):
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([chatgpt(node("r", None), node("q", "r", "user", "Hi"))]))

    first = answered(run("import", file, "--format", "json"))
    again = answered(run("import", file, "--format", "json"))

    assert (first["added"], again["added"], again["already_there"]) == (1, 0, 1)


def test_markdown_is_written(run, plans):
    code, text, _err = run("export", plans.pk, "--markdown")

    assert code == 0
    assert text.startswith(b"# Plans\n")


def test_conversations_are_deleted_and_that_is_recorded(run, plans):
    assert answered(run("delete", plans.pk, "--format", "json")) == {"deleted": 1}

    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    assert actions() == [("conversation.deleted", str(plans.pk))]


def test_nothing_is_deleted_where_one_is_not_there(run, plans):
    code, _out, err = run("delete", plans.pk, uuid4())

    assert code == 1
    assert "no conversation" in err
    assert Conversation.objects.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "nonsense"], 1),
        (["show", uuid4()], 1),
        (["export"], 2),
        (["export", uuid4(), "--all"], 2),
        (["export", uuid4()], 1),
        (["list", "--user", "nobody"], 1),
        (["import", "/not/there.json"], 1),
        (["import", "-"], 1),
        (["nonsense"], 1),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_line(run, alice, words, code):
    ended, out, err = run(*words)

    assert ended == code
    assert not out
    assert err
    assert "Traceback" not in err


def test_a_file_beyond_the_limit_is_refused(run, alice, tmp_path, settings):
    """I1: on the command line too."""
    settings.IMPORT_BODY_BYTES = 10
    file = tmp_path / "large.json"
    file.write_bytes(own(talk(said("1"))))

    assert run("import", file)[0] == 1
    assert not Conversation.objects.exists()


def test_a_refusal_is_json_where_json_is_asked_for(run, alice):
    code, _out, err = run("show", uuid4(), "--format", "json")

    assert (code, json.loads(err)["code"]) == (1, "not_found")
