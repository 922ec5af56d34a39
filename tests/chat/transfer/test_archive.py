"""`users/me/export` and `users/me/stats`: all that is one's own, and how much it is."""

from __future__ import annotations

import csv
import io
import json
import random
import zipfile
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.services import api_keys, audit
from chat.models import Conversation, Message
from chat.services.archive import archive_of
from chat.services.sharing import share_conversation
from chat.services.statistics import statistics_of
from chat.services.turn_requests import send_message
from models_registry.models import ChatModel
from models_registry.providers.base import Finished, TextDelta, Usage
from models_registry.services.connections import create_connection
from quotas.models import UsageRecord
from tests.chat.conftest import read
from tests.chat.rows import chain
from tests.chat.transfer.files import own, said, talk
from tests.chat.transfer.test_export import whole

pytestmark = pytest.mark.django_db(transaction=True)


def opened(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def archive(user) -> dict[str, bytes]:
    return opened(b"".join(archive_of(user)))


def test_it_holds_everything_of_a_person_and_nothing_of_others(rest, alice, charlie, conversation):
    chain(conversation, 2)
    share_conversation(alice, conversation.id)
    audit.record(audit.AuditAction.PASSWORD_CHANGED, actor=alice.user)
    theirs = Conversation.objects.create(owner=charlie.user, title="Not Alice's")
    chain(theirs, 2, content="secret")

    sent = rest("get", "users/me/export")

    assert sent["Content-Type"] == "application/zip"
    assert sent["Content-Disposition"] == 'attachment; filename="parley-export.zip"'
    found = opened(whole(sent))
    assert set(found) == {
        "README.txt",
        "profile.json",
        f"conversations/{conversation.id}.json",
        f"conversations/{conversation.id}.md",
        "shares.json",
        "usage.csv",
        "usage.json",
        "connections.json",
        "models.json",
        "sessions.json",
        "api_keys.json",
        "records.json",
    }
    assert json.loads(found["profile.json"])["email"] == alice.user.email
    assert [each["conversation_id"] for each in json.loads(found["shares.json"])] == [
        str(conversation.id)
    ]
    assert len(json.loads(found["sessions.json"])) == 1
    assert [each["action"] for each in json.loads(found["records.json"])] == [
        "sign_in.succeeded",
        "password.changed",
    ]
    assert not any(b"secret" in each or str(theirs.id).encode() in each for each in found.values())
    told = found["README.txt"].decode()
    assert all(name in told for name in found if "/" not in name and name != "README.txt")


def test_keys_do_not_come_out(alice, settings):
    """ARCHITECTURE 9.4, K1, K5"""
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    connection = create_connection(
        alice.user,
        scope="personal",
        provider="openai_compatible",
        name="Mine",
        base_url="http://127.0.0.1:9000/v1",
        api_key="sk-canary-0123456789",
    )
    ChatModel.objects.create(name="own", owner=alice.user, connection=connection, upstream_name="x")

    key = api_keys.create(alice.user, name="A program", actor=alice.user)

    found = archive(alice.user)

    assert json.loads(found["connections.json"])[0]["name"] == "Mine"
    assert json.loads(found["models.json"])[0]["name"] == "own"
    assert json.loads(found["api_keys.json"])[0]["prefix"] == key.row.prefix
    for secret in ("canary", key.text[12:], key.row.digest):
        assert secret.encode() not in b"".join(found.values())


def test_what_people_type_names_no_entry(alice):
    """A10"""
    Conversation.objects.create(owner=alice.user, title="../../x")
    Conversation.objects.create(owner=alice.user, title='=cmd|"/c calc"!A1')

    names = list(archive(alice.user))

    assert not any(".." in name or "cmd" in name for name in names)


def test_each_conversation_in_it_can_be_imported_again(alice, take, conversation):
    chain(conversation, 3)
    file = archive(alice.user)[f"conversations/{conversation.id}.json"]
    conversation.delete()

    assert take(file).as_fields()["messages"] == 3


@pytest.mark.row("R8")
def test_it_is_written_while_it_is_sent(alice, conversation, settings):
    """R8: a hundredth of it is in memory, not all."""
    settings.EXPORT_PAGE = 10
    noise = random.Random(1)  # noqa: S311 what does not shrink
    for _conversation in range(20):
        each = Conversation.objects.create(owner=alice.user)
        rows = chain(each, 50)
        for row in rows:
            row.content = noise.randbytes(500).hex()
        Message.objects.bulk_update(rows, ["content"])

    pieces = list(archive_of(alice.user))

    assert sum(map(len, pieces)) > 200_000
    assert max(map(len, pieces)) < 50_000


def test_the_numbers_are_what_is_there_and_what_was_used(rest, alice, conversation, script, take):
    script(TextDelta("Hello"), Finished("stop", Usage(10, 5)))
    read(send_message(alice, conversation.id, content="Hi").ref)
    take(own(talk(said("1", usage={"prompt_tokens": 999, "completion_tokens": 9, "cost": "1"}))))

    told = rest("get", "users/me/stats").json()

    assert told == {
        "conversations": 2,
        "messages": 3,
        "tokens": 15,
        "cost": "0.000050",
        "average_messages_per_conversation": 1.5,
    }


def test_the_numbers_of_somebody_new_are_nothing(charlie, conversation):
    assert statistics_of(charlie.user) == {
        "conversations": 0,
        "messages": 0,
        "tokens": 0,
        "cost": "0.000000",
        "average_messages_per_conversation": 0.0,
    }


def test_usage_is_there_for_spreadsheets_which_compute_none_of_it(alice, settings):
    """A10; in several pages."""
    settings.EXPORT_PAGE = 2
    for model in ("echo", "=cmd|x", "echo"):
        UsageRecord.objects.create(
            turn_id=uuid4(),
            user_id=alice.user.pk,
            purpose="message",
            model=model,
            outcome="complete",
            prompt_tokens=10,
            completion_tokens=5,
            cost=1_500_000,
            started_at=timezone.now(),
        )

    table = archive(alice.user)["usage.csv"].decode()

    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert [each["model"] for each in rows] == ["echo", "'=cmd|x", "echo"]
    assert {each["cost"] for each in rows} == {"0.001500"}
