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
from chat.models import Conversation, Message, Share, Turn
from chat.services.sharing import share_conversation
from chat.services.turn_requests import send_message
from models_registry.providers.base import Finished, TextDelta
from tests.chat.conftest import Gate, turn_row
from tests.chat.rows import chain
from tests.chat.transfer.files import chatgpt, exported, node, own, said, shape, talk
from tests.waiting import until

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


REASON = "Mina asked support to look at a lost answer."
WHY = ("--reason", REASON)


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
    assert ids("--search", "plan", *WHY) == [str(plans.pk)]
    assert len(ids("--limit", "1")) == 1
    (row,) = answered(run("list", "--user", "alice", "--format", "json"))
    assert (row["owner"], row["messages"], row["cost"]) == ("alice", 3, "0.000000")


def test_a_list_of_titles_is_recorded_once(run, plans):
    """M4: a title says what is talked about; to search in them is to read them."""
    (row,) = answered(run("list", "--user", "alice", "--search", "plan", *WHY, "--format", "json"))

    assert row["title"] == "Plans"
    assert actions() == [("conversation.titles_read", str(plans.owner_id))]
    entry = AuditEntry.objects.get()
    assert (entry.after, entry.who) == ({"reason": REASON, "titles": 1}, "Parley")


def test_one_is_shown_and_that_is_recorded(run, plans):
    """M4: on the command line too."""
    found = answered(run("show", plans.pk, "--limit", 2, *WHY, "--format", "json"))

    assert found["transcript"] == ["assistant: word 1", "user: word 2"]
    assert actions() == [("conversation.read", str(plans.pk))]
    entry = AuditEntry.objects.get()
    assert (entry.after["reason"], entry.who) == (REASON, "Parley")
    assert "conversation" in entry.client


READS = [("list",), ("show", "{id}"), ("export", "{id}"), ("export", "--all", "--user", "alice")]


@pytest.mark.parametrize("words", READS)
def test_who_gives_no_reason_is_recorded_too(run, plans, words):
    """M4: whoever has the command line has the database as well."""
    assert run(*[each.format(id=plans.pk) for each in words])[0] == 0

    assert AuditEntry.objects.get().after["reason"] == ""


@pytest.mark.parametrize("words", READS)
@pytest.mark.parametrize("reason", [" " * 20, "a bug"])
def test_for_a_reason_that_tells_nothing_nothing_is_read(run, plans, words, reason):
    code, out, err = run(*[each.format(id=plans.pk) for each in words], "--reason", reason)

    assert (code, bool(out)) == (1, False)
    assert "reason" in err
    assert not AuditEntry.objects.exists()


def test_export_and_import_fit_together(run, plans, charlie, tmp_path):
    before = shape(exported(plans))
    file = tmp_path / "all.json"
    code, _out, err = run("export", "--user", "alice", "--all", *WHY, "-o", file)
    assert code == 0, err

    told = answered(run("import", "--user", "charlie", file, "--format", "json"))

    assert (told["added"], told["messages"]) == (1, 3)
    (found,) = Conversation.objects.visible_to(charlie.user)
    assert told["ids"] == [str(found.pk)]
    assert shape(exported(found))[0]["messages"] == before[0]["messages"]
    assert actions() == [("conversation.read", str(plans.pk))]


def test_a_pipe_takes_and_gives_bytes(run, plans):
    code, sent, err = run("export", plans.pk, *WHY)
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
    code, text, _err = run("export", plans.pk, *WHY, "--format", "markdown")

    assert code == 0
    assert text.startswith(b"# Plans\n")


def test_conversations_are_deleted_and_that_is_recorded(run, plans):
    assert answered(run("delete", plans.pk, "--format", "json")) == {"deleted": 1}

    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    assert actions() == [("conversation.deleted", str(plans.pk))]


def test_the_answers_of_conversations_are_stopped_and_that_is_recorded(
    run, alice, conversation, script, plans
):
    gate = Gate()
    script(TextDelta("a"), gate, Finished("stop"))
    idle = Conversation.objects.create(owner=alice.user)
    started = send_message(alice, conversation.id, content="Hi")
    (running,) = answered(run("list", "--running", "--format", "json"))
    assert running["id"] == str(conversation.pk)

    told = answered(run("stop", conversation.pk, idle.pk, "--format", "json"))

    assert [(each["id"], each["stopping"]) for each in told] == [
        (str(conversation.pk), True),
        (str(idle.pk), False),
    ]
    until(lambda: turn_row(started.ref).status == Turn.Status.STOPPED, "the turn was stopped")
    assert ("turn.stopped", str(started.ref.turn_id)) in actions()
    assert answered(run("list", "--running", "--format", "json")) == []


def test_a_public_one_is_so_no_longer_and_that_is_recorded(run, alice, plans):
    other = Conversation.objects.create(owner=alice.user)
    share_conversation(alice, plans.pk)
    (public,) = answered(run("list", "--shared", "--format", "json"))
    assert public["id"] == str(plans.pk)

    told = answered(run("unshare", plans.pk, other.pk, "--format", "json"))

    assert [(each["id"], each["unshared"]) for each in told] == [
        (str(plans.pk), True),
        (str(other.pk), False),
    ]
    assert not Share.objects.exists()
    assert actions()[1:] == [("share.revoked", str(plans.pk))]


def test_nothing_is_deleted_where_one_is_not_there(run, plans):
    code, _out, err = run("delete", plans.pk, uuid4())

    assert code == 1
    assert "no conversation" in err
    assert Conversation.objects.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["show", "nonsense"], 1),
        (["show", uuid4(), *WHY], 1),
        (["export", *WHY], 2),
        (["export", uuid4(), "--all", *WHY], 2),
        (["export", uuid4(), *WHY], 1),
        (["export", uuid4(), *WHY, "--format", "table"], 1),
        (["stop", uuid4()], 1),
        (["unshare", uuid4()], 1),
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
    code, _out, err = run("show", uuid4(), *WHY, "--format", "json")

    assert (code, json.loads(err)["code"]) == (1, "not_found")
