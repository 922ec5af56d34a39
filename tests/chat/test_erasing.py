"""Erasing a person leaves nothing of theirs in any table (G4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from unittest.mock import AsyncMock

import pytest
from django.conf import settings
from django.db import connection
from redis import Redis

from accounts.models import Letter, OutgoingMail, User
from accounts.services import registration
from accounts.services.callers import Caller
from accounts.services.people import erase
from accounts.services.sign_ins import open_for
from accounts.services.tokens import issue
from chat.models import Conversation, Message, Turn
from chat.services import messages
from chat.services.importing import import_file
from chat.services.search import forget_deleted_words, index_waiting
from chat.services.sharing import share_conversation
from chat.services.titles import write_titles
from chat.services.turn_requests import chat_once, send_message
from chat.streams.hub import hub
from chat.turns.runner import runner
from models_registry.providers.base import Finished, TextDelta
from quotas.models import UsageRecord
from tests import needs
from tests.accounts.conftest import PASSWORD, Api
from tests.chat.conftest import Gate, read
from tests.chat.processes import pending
from tests.chat.transfer.files import own, said, talk
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

# What is looked for: each stands in at least one table before, and in none afterwards.
NAMES = ["erica", "Erica@example.org", "Erica Mustermann", "new-erica@example.org"]
TEXTS = ["a plan nobody knows", "an answer for nobody", "a private prompt", "a private title"]
IMPORTED = ["an imported secret", "an imported title"]
# As words the search index has them apart.
WORDS = ["nobody", "imported"]
THINGS = ["why I say so", "my-own-key-of-this", "my-own-key-of-that"]


def tables_with(canary: str) -> list[str]:
    """Names of the tables that hold `canary` in any column of any row."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 ours
            rows = json.dumps(cursor.fetchall(), default=str, ensure_ascii=False)
            if canary.casefold() in rows.casefold():
                found.append(table)
    return found


@pytest.fixture
def erica(model, script, settings) -> User:
    """Somebody who has used everything."""
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    user = registration.create_person(
        username="erica", email="erica@example.org", password=PASSWORD
    )
    token = issue(open_for(user, client="erica's phone")).access_token
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    api = Api()
    api.call("PATCH", "users/me", {"display_name": "Erica Mustermann"}, **bearer)
    change = {"email": "new-erica@example.org", "password": PASSWORD}
    assert api.call("PATCH", "users/me", change, **bearer).status_code == 200
    api.login("erica", "a wrong password")
    made = {"name": "ericas-connection", "provider": "openai_compatible", "scope": "personal"}
    made |= {"base_url": "http://127.0.0.1:8159/v1", "api_key": "sk-erica-0123456789"}
    told = api.post("connections", made, **bearer)
    assert told.status_code == 201, told.content
    connection_id = told.json()["id"]
    asked = {"scope": "personal", "name": "ericas-model", "connection": connection_id}
    assert api.post("models", asked, **bearer).status_code == 201
    caller = Caller(user, None)
    conversation = Conversation.objects.create(
        owner=user, title="a private title", system_prompt="a private prompt", model=model.name
    )
    script(TextDelta("an answer for nobody"), Finished("stop"))
    ref = send_message(
        caller, conversation.id, content="a plan nobody knows", idempotency_key="my-own-key-of-this"
    ).ref
    read(ref)
    messages.rate_message(caller, ref.message_id, rating="down", comment="why I say so")
    script(TextDelta("an answer for nobody"), Finished("stop"))
    once = [{"role": "user", "content": "a plan nobody knows"}]
    read(chat_once(caller, messages=once, idempotency_key="my-own-key-of-that").ref)
    import_file(caller, own(talk(said("1", "an imported secret"), title="an imported title")))
    share_conversation(caller, conversation.id)
    index_waiting(seconds=20)
    # A letter that no server has taken yet.
    OutgoingMail.objects.create(letter=Letter.RESET, address="Erica@example.org")
    return user


@pytest.fixture
def logs() -> Iterator[Callable[[], int]]:
    """In how many logs Redis has something of what is said here."""
    with Redis.from_url(settings.REDIS_URL) as store:

        def count() -> int:
            kept = [str(store.xrange(key)) for key in store.keys("parley:turn:*")]
            return sum("nobody" in entries for entries in kept)

        yield count


@pytest.mark.row("G4")
@needs.redis
def test_nothing_of_a_person_is_left_in_redis(alice, conversation, script, logs):
    """The log of an answer would stay for an hour."""
    script(TextDelta("an answer for nobody"), Finished("stop"))
    once = [{"role": "user", "content": "a plan nobody knows"}]
    read(send_message(alice, conversation.id, content="a plan nobody knows").ref)
    script(TextDelta("an answer for nobody"), Finished("stop"))
    read(chat_once(alice, messages=once).ref)
    until(lambda: logs() == 2, "both answers are there")

    erase(alice.user, actor=None)

    assert logs() == 0


@pytest.fixture
def being_written(alice, conversation, script, logs) -> list[Gate]:
    """Two answers, one of them in a conversation: gates to more words of each, gates to its end."""
    more, ends = [Gate(), Gate()], [Gate(), Gate()]
    for gate, end in zip(more, ends, strict=True):
        script(TextDelta("an answer for nobody"), gate, TextDelta(" knows"), end, Finished("stop"))
    send_message(alice, conversation.id, content="a plan nobody knows")
    once = [{"role": "user", "content": "Hi"}]
    chat_once(alice, messages=once, idempotency_key="my-own-key-of-this")
    until(lambda: logs() == 2, "both are there")
    return [*more, *ends]


@pytest.mark.row("G4")
@needs.redis
def test_nor_of_answers_that_are_being_written(alice, being_written, logs):
    erase(alice.user, actor=None)
    for gate in being_written:
        gate.open()
    until(lambda: not runner.turns, "the owner let go of both")
    until(lambda: not pending(hub), "and has written all that it had to")

    assert logs() == 0


@pytest.mark.row("G4")
@needs.redis
def test_nor_of_those_that_another_process_writes_and_hears_of_it_late(
    alice, being_written, logs, monkeypatch
):
    """It finds that they are nobody's, and takes back what it has written meanwhile."""
    monkeypatch.setattr(hub, "loop", None)  # nobody tells it
    monkeypatch.setattr(runner, "_checkpoint", AsyncMock())

    erase(alice.user, actor=None)
    assert logs() == 0
    for gate in being_written[:2]:
        gate.open()
    until(lambda: logs() == 2, "the owner has written them anew")
    for gate in being_written[2:]:
        gate.open()
    until(lambda: not runner.turns, "the owner let go of both")
    until(lambda: not pending(hub), "and has written all that it had to")

    assert logs() == 0


@pytest.mark.row("G4")
@needs.redis
def test_nor_of_what_a_job_had_a_model_write_about_them(alice, conversation, script, logs):
    """A title is the deployment's: nobody would find it among what is the person's."""
    script(TextDelta("A plan"), Finished("stop"))
    read(send_message(alice, conversation.id, content="What do you know?").ref)
    script(TextDelta("What nobody knows"), Finished("stop"))

    write_titles()

    assert Turn.objects.get(purpose="title").status == "complete"
    until(lambda: not pending(hub), "all that was to be written is")
    assert logs() == 0


@pytest.mark.row("G4")
def test_nothing_of_a_person_is_left_in_any_table(erica):
    """Scan all tables for the e-mail: 0."""
    everything = (*NAMES, *TEXTS, *IMPORTED, *WORDS, *THINGS)
    for name in everything:
        assert tables_with(name), f"{name} was nowhere"
    numbers = UsageRecord.objects.count()
    assert numbers
    token = issue(open_for(erica)).access_token

    answer = Api().call(
        "DELETE", "users/me", {"password": PASSWORD}, HTTP_AUTHORIZATION=f"Bearer {token}"
    )

    assert answer.status_code == 204
    forget_deleted_words()  # an hourly job
    left = {name: found for name in everything if (found := tables_with(name))}
    assert left == {}
    assert not User.objects.filter(pk=erica.pk).exists()
    assert not Message.objects.exists()
    assert UsageRecord.objects.count() == numbers
