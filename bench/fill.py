"""Fills a Parley with conversations by bulk SQL: `python -m bench.fill` in its environment.

Rows are copies of one that Parley itself wrote, but for what has to differ. So they have every
column as it should be, whatever columns there are.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup(set_prefix=False)

from django.db import connection, models

from accounts.models import User
from bench.fill_plan import FIRST, MESSAGES_EACH, WORDS
from chat.models import Conversation, Message
from chat.services.search import index_due
from common.search import mark_of

# In one transaction, so that a running server gets its turn.
_CONVERSATIONS_AT_ONCE = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--owner", required=True, help="id of the person who is measured")
    parser.add_argument("--others", required=True, help="id of somebody who owns the rest")
    parser.add_argument("--own", type=int, required=True, help="conversations of the first")
    parser.add_argument("--messages", type=int, required=True, help="in all")
    given = parser.parse_args()
    owner, others = (User.objects.get(pk=each) for each in (given.owner, given.others))
    conversations = given.messages // MESSAGES_EACH
    with connection.cursor() as cursor:
        # What is written is consistent; proving it row by row takes longer than writing it.
        if connection.vendor == "postgresql":
            cursor.execute("SET session_replication_role = replica")
        else:
            cursor.execute("PRAGMA foreign_keys = OFF")
        for person, first, last in (
            (owner, 0, given.own),
            (others, given.own, conversations),
        ):
            template = _template(person)
            for begin in range(first, last, _CONVERSATIONS_AT_ONCE):
                end = min(begin + _CONVERSATIONS_AT_ONCE, last)
                for statement in _statements(template, person, begin, end):
                    cursor.execute(statement)
        cursor.execute("ANALYZE" if connection.vendor == "postgresql" else "PRAGMA optimize")


def _template(person: User) -> Message:
    """A message of this person's, indexed, in a conversation that it fills."""
    conversation = Conversation.objects.create(
        owner=person,
        title="Something of long ago",
        title_source=Conversation.TitleSource.USER,
        model="paced-2x1",
        last_position=MESSAGES_EACH,
        message_count=MESSAGES_EACH,
    )
    message = Message.objects.create(conversation=conversation, role="user", position=1)
    index_due(limit=1, owner=person)
    return message


def _statements(template: Message, person: User, begin: int, end: int) -> list[str]:
    conversation = template.conversation
    number = _series(begin * MESSAGES_EACH, end * MESSAGES_EACH)
    mine, message_id, parent_id = (
        _identifier(1, f"n / {MESSAGES_EACH}"),
        _identifier(2, "n"),
        _identifier(2, "n - 1"),
    )
    position = f"n % {MESSAGES_EACH} + 1"
    is_first = f"n % {MESSAGES_EACH} = 0"
    text = " || ' ' || ".join(_word(place) for place in range(WORDS))
    return [
        _copy(
            Conversation,
            str(conversation.pk),
            _series(begin, end),
            {"id": _identifier(1, "n"), "title": "'Talk ' || n", "updated_at": _moment("n")},
        ),
        _copy(
            Message,
            str(template.pk),
            number,
            {
                "id": message_id,
                "conversation_id": mine,
                "parent_id": f"CASE WHEN {is_first} THEN NULL ELSE {parent_id} END",
                "role": "CASE WHEN n % 2 = 0 THEN 'user' ELSE 'assistant' END",
                "position": position,
                "content": text,
            },
        ),
        f"INSERT INTO chat_searchpiece (conversation_id, message_id, words) "  # noqa: S608 ours
        f"SELECT {mine}, {message_id}, {_indexed(mark_of(person.pk), text)} FROM {number}",
    ]


def _copy(model: type[models.Model], pk: str, number: str, changes: dict[str, str]) -> str:
    """Insert copies of the row `pk`, a row for each n, with some columns computed from n."""
    columns = [str(field.column) for field in model._meta.concrete_fields]  # noqa: SLF001
    values = [changes.get(name, f't."{name}"') for name in columns]
    names = ", ".join(f'"{name}"' for name in columns)
    table = model._meta.db_table  # noqa: SLF001 documented
    key = pk if connection.vendor == "postgresql" else pk.replace("-", "")
    return (
        f'INSERT INTO "{table}" ({names}) SELECT {", ".join(values)} '  # noqa: S608 ours
        f"FROM \"{table}\" t, {number} WHERE t.id = '{key}'"
    )


def _series(begin: int, end: int) -> str:
    if connection.vendor == "postgresql":
        return f"generate_series({begin}::bigint, {end - 1}::bigint) AS s(n)"
    steps = f"SELECT {begin} UNION ALL SELECT n + 1 FROM s WHERE n < {end - 1}"  # noqa: S608 ours
    return f"(WITH RECURSIVE s(n) AS ({steps}) SELECT n FROM s)"  # noqa: S608 ours


def _identifier(kind: int, number: str) -> str:
    """In the order of time, as ids are; one kind of row does not meet the other's."""
    if connection.vendor == "postgresql":
        return f"('{FIRST}{kind}' || lpad(to_hex({number}), 27, '0'))::uuid"
    return f"printf('{FIRST}{kind}%027x', {number})"


def _word(place: int) -> str:
    """One of a few thousand words, by the number of the message."""
    return f"'w' || ((n * {7919 + 2 * place} + {place * 31}) % {1_000 + 200 * place})"


def _moment(number: str) -> str:
    if connection.vendor == "postgresql":
        return f"timestamptz '2026-01-01' + {number} * interval '1 second'"
    return f"datetime('2026-01-01', '+' || {number} || ' seconds')"


def _indexed(mark: str, text: str) -> str:
    if connection.vendor == "postgresql":
        return f"'''{mark}'':1'::tsvector || to_tsvector('simple', {text})"
    return f"'{mark} ' || {text}"


if __name__ == "__main__":
    main()
