"""Search among 100,000 messages in two languages, each phrase found, in time."""

from __future__ import annotations

import sys
import time
from uuid import UUID

import pytest
from django.db import connection

from accounts.models import User
from chat.models import Conversation, SearchPiece
from chat.services.search import index_waiting, search
from tests.chat.planted import corpus

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGES = 100_000
PHRASES = 200


@pytest.mark.row("I11")
def test_every_planted_phrase_is_found_in_time():
    """Each under 100 ms, and never another person's; what is in most messages, in a second."""
    people = [
        User.objects.create(username=name, username_key=name, email=f"{name}@x.ex")
        for name in ("alice", "charlie")
    ]
    planted = corpus(people, messages=MESSAGES, phrases=PHRASES, seed=11)
    written = time.monotonic()
    index_waiting(seconds=1_800)
    indexed = time.monotonic()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # as its autovacuum does by and by
            cursor.execute("ANALYZE")
    assert SearchPiece.objects.count() >= MESSAGES

    waits: dict[str, float] = {}

    def found(user: User, text: str) -> list[UUID]:
        """The first page of what the API answers."""
        mine = Conversation.objects.filter(owner=user).order_by("-updated_at", "-id")
        began = time.perf_counter()
        rows = [each.id for each in search(mine, user, text)[:21]]
        waits[text] = max(waits.get(text, 0), time.perf_counter() - began)
        return rows

    own = {phrase: found(phrase.owner, phrase.text) for phrase in planted}
    foreign = {
        each
        for phrase in planted
        for other in people
        if other != phrase.owner
        for each in found(other, phrase.text)
        if not Conversation.objects.filter(pk=each, owner=other).exists()
    }
    # What is in most of the messages.
    for text in ("一", "与", "一万", "一 与", "ba", "de", "ba de"):
        assert found(people[0], text)

    # Seen with `-s`.
    sys.stdout.write(
        f"\n{connection.vendor}: indexed in {indexed - written:.0f} s; milliseconds by query:"
        f" { {text: round(wait * 1_000, 1) for text, wait in waits.items()} }\n"
    )
    missed = [phrase.text for phrase, ids in own.items() if phrase.conversation not in ids]
    assert missed == []
    assert foreign == set()
    assert max(waits[phrase.text] for phrase in planted) < 0.1
    assert max(waits.values()) < 1
