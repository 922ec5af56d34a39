"""A long conversation of a file is written batch by batch: others write in between (F7), and
nobody ever sees, or is left with, a part of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.services import people, registration
from chat.models import Conversation, Message, SearchPiece
from chat.services import importing
from chat.services.conversations import delete_conversations_of
from chat.services.exports import every_conversation_of
from chat.services.importing import import_file
from chat.services.search import index_waiting, rebuild
from chat.services.statistics import statistics, statistics_of
from common import purging
from common.db import write_transaction
from common.errors import NotFound, Unavailable
from common.statements import insert_rows
from tests.chat.threads import all_at_once
from tests.chat.transfer.files import own, said, talk

pytestmark = pytest.mark.django_db(transaction=True)

_BATCH, _MESSAGES = 10, 95


class Killed(BaseException):
    """The process is gone: nothing after it runs, and nothing catches it."""


@pytest.fixture(autouse=True)
def small_batches(settings):
    settings.IMPORT_ROWS_AT_ONCE = _BATCH


@pytest.fixture
def file() -> bytes:
    chain = [said(f"m{n}", parent_id=f"m{n - 1}" if n else None) for n in range(_MESSAGES)]
    return own(talk(*chain, title="A long talk"))


@pytest.fixture
def between(monkeypatch):
    """Have something done before the batch with this number is written; the sizes of batches."""

    def have(work, *, number: int = 5) -> list[int]:
        sizes: list[int] = []

        def insert(model, names, rows):
            sizes.append(len(rows))
            if len(sizes) == number:
                work()
            insert_rows(model, names, rows)

        monkeypatch.setattr(importing, "insert_rows", insert)
        return sizes

    return have


@pytest.fixture
def half(take, file, between):
    """What is left of an import that was killed in its middle."""

    def kill():
        raise Killed

    between(kill)
    with pytest.raises(Killed):
        take(file)
    assert Message.objects.count() == 4 * _BATCH
    return Conversation.with_unfinished.get()


def whole() -> Conversation:
    """The only conversation there is, with all its messages, each in its place."""
    found = Conversation.objects.get()
    rows = list(Message.objects.filter(conversation=found).order_by("position"))
    assert [each.content for each in rows] == [f"m{n}" for n in range(_MESSAGES)]
    assert [each.parent_id for each in rows] == [None, *[each.pk for each in rows[:-1]]]
    assert (found.message_count, found.importing_at) == (_MESSAGES, None)
    return found


def test_no_transaction_writes_more_than_a_batch(take, file, between, monkeypatch):
    written_before: list[int] = []
    sizes = between(lambda: None)
    begin = importing.write_transaction

    def watched():
        written_before.append(len(sizes))
        return begin()

    monkeypatch.setattr(importing, "write_transaction", watched)

    take(file)

    assert sizes == [_BATCH] * 9 + [5]
    # One begins it, then each writes one batch: when it began, those before it were written.
    assert written_before == [0, *range(10)]
    whole()


def test_a_batch_holds_no_more_characters_than_a_transaction_may(take, between, settings):
    settings.IMPORT_CHARACTERS_AT_ONCE = 100
    sizes = between(lambda: None)

    take(own(talk(*[said(str(n), "x" * 30) for n in range(8)], said("long", "x" * 1_000))))

    assert sizes == [3, 3, 2, 1]


def test_tool_calls_and_sources_count_as_well(take, between, settings):
    settings.IMPORT_CHARACTERS_AT_ONCE = 1_000
    sizes = between(lambda: None)
    call = {"id": "1", "name": "look", "arguments": "x" * 900, "result": ""}
    source = {"n": 1, "title": "t", "url": "u", "text": "x" * 900}

    take(own(talk(said("1", tool_calls=[call]), said("2", sources=[source]), said("3"))))

    assert sizes == [1, 2]


def test_somebody_else_writes_between_two_batches(take, file, between, monkeypatch):
    """Not only could: no transaction is open when a batch is got ready."""
    seen = []
    batches = importing.batches_of

    def watched(conversation, tree):
        for batch in batches(conversation, tree):
            seen.append(connection.in_atomic_block)
            yield batch

    monkeypatch.setattr(importing, "batches_of", watched)

    take(file)

    assert seen == [False] * 10


def test_a_part_of_it_shows_nowhere(half, take, rest, alice, file):
    user = alice.user

    assert not Conversation.objects.visible_to(user).exists()
    assert not Message.objects.visible_to(user).exists()
    assert rest("get", "conversations").json()["results"] == []
    assert rest("get", "conversations?q=long").json()["results"] == []
    assert (half.archived, half.title_indexed) == (True, True)  # F18: an older process lists it
    assert rest("get", f"conversations/{half.pk}").status_code == 404
    assert rest("get", f"conversations/{half.pk}/messages").status_code == 404
    assert rest("get", f"conversations/{half.pk}/export").status_code == 404
    message = Message.objects.first()
    assert rest("patch", f"messages/{message.pk}", {"content": "x"}).status_code == 404
    assert rest("patch", f"conversations/{half.pk}", {"title": "x"}).status_code == 404
    assert rest("delete", f"conversations/{half.pk}").status_code == 404
    index_waiting(seconds=20)
    rebuild()
    assert not SearchPiece.objects.exists()
    of_all, of_one = statistics(days=1), statistics_of(user)
    assert (of_all["conversations"], of_all["messages"]) == (0, 0)
    assert (of_one["conversations"], of_one["average_messages_per_conversation"]) == (0, 0)
    assert list(every_conversation_of(user)) == []


def test_nor_in_the_admin(half, client: Client):
    operator = registration.create_person(
        username="root", email="root@example.org", password="correct-horse-9"
    )
    User.objects.filter(pk=operator.pk).update(is_staff=True, is_superuser=True)
    operator.refresh_from_db()
    client.force_login(operator)
    message = Message.objects.first()

    for name, row in (("conversation", half), ("message", message)):
        listed = client.get(reverse(f"admin:chat_{name}_changelist"))
        assert listed.status_code == 200
        assert str(row.pk) not in listed.content.decode()
        assert client.get(reverse(f"admin:chat_{name}_change", args=[row.pk])).status_code == 302


def test_after_a_kill_the_next_import_is_whole_and_a_third_adds_nothing(half, take, file, between):
    between(lambda: None)

    assert take(file).as_fields()["messages"] == _MESSAGES
    assert take(file).as_fields()["already_there"] == 1

    whole_ = Conversation.objects.get()
    assert Message.objects.filter(conversation=whole_).count() == _MESSAGES


def test_what_was_left_is_purged_and_nothing_else(half, take, file, between, settings):
    settings.PURGE_ROWS_AT_ONCE = 7  # a parent goes after what hangs below it
    between(lambda: None)
    take(file)

    purging.purge()
    assert Conversation.with_unfinished.count() == 2  # it might still be going on

    later = timezone.now() + timedelta(seconds=settings.IMPORT_SILENT_SECONDS + 1)
    with time_machine.travel(later, tick=False):
        purging.purge()

    assert Conversation.with_unfinished.get() == whole()
    assert Message.objects.count() == _MESSAGES


def test_an_import_that_goes_on_for_long_is_not_taken_for_dead(
    take, file, between, settings, monkeypatch
):
    """Each batch shows that it is alive: together they take longer than one may be silent."""
    go_on = importing._go_on  # noqa: SLF001
    with time_machine.travel(timezone.now(), tick=False) as clock:

        def tarry(conversation):
            clock.shift(settings.IMPORT_SILENT_SECONDS * 0.6)
            go_on(conversation)

        monkeypatch.setattr(importing, "_go_on", tarry)
        sizes = between(purging.purge, number=7)
        take(file)

    assert len(sizes) == 10
    whole()


@pytest.mark.parametrize("batch", [5, 10])
def test_one_that_was_given_up_never_goes_on(
    take, file, between, settings, monkeypatch, rest, batch
):
    """The purge has dropped its first messages, and has not come to the conversation yet."""
    go_on = importing._go_on  # noqa: SLF001
    begun: list[Conversation] = []
    sizes = between(lambda: None)
    with time_machine.travel(timezone.now(), tick=False) as clock:

        def after_silence(conversation):
            begun.append(conversation)
            if len(begun) == batch:
                clock.shift(settings.IMPORT_SILENT_SECONDS + 1)
                rows = importing.messages_of(importing.abandoned())
                assert rows.count() == (batch - 1) * _BATCH
                rows.erase()
            go_on(conversation)

        monkeypatch.setattr(importing, "_go_on", after_silence)
        with pytest.raises(Unavailable):
            take(file)

    assert len(sizes) == batch - 1
    assert rest("get", "conversations").json()["results"] == []
    assert not Conversation.with_unfinished.exists()
    assert not Message.objects.exists()
    assert take(file).as_fields()["messages"] == _MESSAGES
    whole()


def test_an_import_gives_up_before_the_purge_begins(take, file, between, settings, monkeypatch):
    """What it commits at the last moment is not being dropped already."""
    go_on = importing._go_on  # noqa: SLF001
    begun: list[Conversation] = []
    with time_machine.travel(timezone.now(), tick=False) as clock:

        def at_the_last_moment(conversation):
            begun.append(conversation)
            if len(begun) == 5:
                clock.shift(settings.IMPORT_SILENT_SECONDS - 60)
                assert not importing.abandoned().exists()
            go_on(conversation)

        monkeypatch.setattr(importing, "_go_on", at_the_last_moment)
        with pytest.raises(Unavailable):
            take(file)


def test_a_batch_that_fails_leaves_nothing(take, file, between):
    def fail():
        raise RuntimeError

    between(fail)

    with pytest.raises(RuntimeError):
        take(file)

    assert not Conversation.with_unfinished.exists()
    assert not Message.objects.exists()


def test_two_at_once_make_one(alice, file, settings):
    settings.IMPORTS_AT_ONCE = 4

    outcomes = all_at_once([lambda: import_file(alice, file).as_fields()] * 3)

    assert sum(each["added"] for each in outcomes) == 1
    assert sum(each["already_there"] for each in outcomes) == 2
    whole()
    assert Conversation.with_unfinished.count() == 1
    assert Message.objects.count() == _MESSAGES


@pytest.mark.row("G4")
@pytest.mark.parametrize("batch", [3, 10])
def test_whoever_is_erased_meanwhile_leaves_nothing(take, file, alice, monkeypatch, batch):
    go_on = importing._go_on  # noqa: SLF001
    begun: list[Conversation] = []

    def erased_before(conversation):
        begun.append(conversation)
        if len(begun) == batch:
            people.erase(alice.user, actor=None)
        go_on(conversation)

    monkeypatch.setattr(importing, "_go_on", erased_before)

    with pytest.raises(NotFound):
        take(file)

    assert not Conversation.with_unfinished.exists()
    assert not Message.objects.exists()


@pytest.mark.row("G4")
def test_erasing_a_person_takes_what_a_killed_import_left(half, alice):
    with write_transaction():
        delete_conversations_of(alice.user)

    assert not Conversation.with_unfinished.exists()
    assert not Message.objects.exists()
