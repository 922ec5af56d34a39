"""A deployment that has been used: rows of every kind, as many as a test asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import (
    ApiKey,
    AuditAction,
    AuditEntry,
    MailLink,
    OutgoingMail,
    SignIn,
    SignInFailures,
    User,
)
from chat.models import Conversation, IdempotencyRecord, Message, Share, Turn
from common.statements import insert_rows
from models_registry.models import ChatModel, Connection, EnvironmentProvider, ModelPrice
from quotas.models import (
    Boost,
    Hold,
    Plan,
    PlanAssignment,
    PlanLimit,
    SubjectLimit,
    UsageRecord,
    Window,
)

_WORDS = "Wie planen wir das? How do we plan it? 我们怎么安排这件事 "
_BATCH = 2_000
_A_DAY = {"metric": "tokens", "period": "day", "amount": 1_000}
_BOOST = {**_A_DAY, "starts_at": datetime(2030, 1, 31, tzinfo=UTC)}


def fill(
    *, people: int, conversations: int, messages: int, models: int = 20, name: str = "mina"
) -> None:
    """`messages` is how many each conversation has; turns, holds and records come along. People and
    models are called `name` and a number."""
    users = _people(people, name)
    _models(models, users, name)
    _records(users, name)
    _quotas(users, name)
    for chunk in _chunks(conversations):
        talks = Conversation.objects.bulk_create(
            Conversation(
                owner=users[number % len(users)],
                title=f"<img src=x onerror=alert({number})>",
                model="m1",
                message_count=messages,
                last_position=messages,
            )
            for number in chunk
        )
        for talk in talks:
            _talk(talk, messages)


def _chunks(count: int) -> Any:
    size = max(1, _BATCH // 10)
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def _people(count: int, name: str) -> list[User]:
    names = [f"{name}{number}" for number in range(count)]
    users = User.objects.bulk_create(
        [
            User(username=name, username_key=name, email=f"{name}@x.example", email_key=f"{name}@x")
            for name in names
        ],
        batch_size=_BATCH,
    )
    member = Group.objects.get(name="member")
    User.groups.through.objects.bulk_create(
        [User.groups.through(user_id=user.pk, group_id=member.pk) for user in users],
        batch_size=_BATCH,
    )
    return users


def _models(count: int, users: list[User], name: str) -> None:
    there = Connection.objects.create(
        name="Ours", provider="openai_compatible", base_url="http://127.0.0.1:9/v1"
    )
    EnvironmentProvider.objects.create(provider=name, connection=there)
    made = ChatModel.objects.bulk_create(
        ChatModel(name=f"{name}-{number}", upstream_name="m", connection=there, everyone=True)
        for number in range(count)
    )
    made[-1].users.set(users[:50])
    made[-1].roles.set(Group.objects.all())


def _records(users: list[User], name: str) -> None:
    now = timezone.now()
    later = now + timedelta(days=1)
    SignIn.objects.bulk_create(
        [
            SignIn(user=user, idle_seconds=9, expires_at=later, idle_expires_at=later)
            for user in users
        ],
        batch_size=_BATCH,
    )
    ApiKey.objects.bulk_create(
        [
            ApiKey(user=user, name="A program", prefix="parley-aaaaa", digest=uuid4().hex)
            for user in users
        ],
        batch_size=_BATCH,
    )
    SignInFailures.objects.bulk_create(
        SignInFailures(scope="account", subject=f"{name}{number}", window_start=now, count=1)
        for number in range(min(len(users), 500))
    )
    AuditEntry.objects.bulk_create(
        [
            AuditEntry(action=AuditAction.SIGN_IN, actor_id=user.pk, actor_name=user.username)
            for user in users
        ],
        batch_size=_BATCH,
    )
    OutgoingMail.objects.bulk_create(
        OutgoingMail(letter="reset", address=user.email) for user in users[:500]
    )
    MailLink.objects.bulk_create(
        MailLink(
            user=user, purpose="reset", digest=uuid4().hex, address=user.email, expires_at=later
        )
        for user in users[:500]
    )


def _quotas(users: list[User], name: str) -> None:
    now = timezone.now()
    plan = Plan.objects.create(name=f"{name}'s")
    PlanLimit.objects.create(plan=plan, metric="tokens", period="day", amount=1_000)
    model = ChatModel.objects.filter(name__startswith=name).first()
    if model is not None:
        ModelPrice.objects.create(model=model, starts_at=now, input_price=1, output_price=1)
    kinds: Any = ((PlanAssignment, {"plan": plan}), (SubjectLimit, _A_DAY), (Boost, _BOOST))
    for kind, row in kinds:
        kind._default_manager.bulk_create(  # noqa: SLF001 documented
            [kind(kind="user", subject_id=str(user.pk), **row) for user in users],
            batch_size=_BATCH,
        )
    Window.objects.bulk_create(
        [
            Window(
                kind="user",
                subject_id=str(user.pk),
                metric="tokens",
                period="day",
                start=now,
                ends_at=now + timedelta(days=1),
                used=1,
            )
            for user in users
        ],
        batch_size=_BATCH,
    )


def _talk(talk: Conversation, count: int) -> None:
    now = timezone.now()
    told = [uuid7() for _ in range(count)]
    turns = [uuid7() for _ in range(count // 2)]
    insert(
        Message,
        [
            {
                "id": own,
                "conversation": talk.pk,
                "parent": told[number - 1] if number else None,
                "position": number + 1,
                "content": _WORDS * 3,
                "role": ("user", "assistant")[number % 2],
                "model": ("", "m1")[number % 2],
                "status": "complete",
            }
            for number, own in enumerate(told)
        ],
    )
    Share.objects.create(conversation=talk, digest=uuid4().hex, title=talk.title)
    of_a_turn = {"purpose": "message", "model": "m1"}
    insert(
        Turn,
        [
            {
                "id": turn,
                "conversation": talk.pk,
                "message": message,
                "status": "complete",
                "owner": "server-1",
                "user": talk.owner_id,
                **of_a_turn,
            }
            for turn, message in zip(turns, told[1::2], strict=True)
        ],
    )
    insert(Hold, [{"turn_id": turn, "status": "settled", "tokens": 1, "cost": 1} for turn in turns])
    insert(
        UsageRecord,
        [
            {
                "turn_id": turn,
                "user_id": talk.owner_id,
                "outcome": "complete",
                "prompt_tokens": 1,
                "completion_tokens": 1,
                "started_at": now,
                **of_a_turn,
            }
            for turn in turns
        ],
    )
    IdempotencyRecord.objects.bulk_create(
        IdempotencyRecord(
            sender=f"user:{talk.owner_id}",
            key=str(turn),
            operation="send",
            body_hash="x",
            turn_id=turn,
        )
        for turn in turns[:1]
    )


def insert(model: type[Model], rows: list[dict[str, Any]]) -> None:
    """Rows with the same fields each; a hundred thousand by `bulk_create` take longer than most of
    what looks at them."""
    names = {field.name for field in model._meta.concrete_fields}  # noqa: SLF001 documented
    made = {"created_at": timezone.now()} if "created_at" in names else {}
    whole = [{"id": uuid7(), **made, **row} for row in rows]
    insert_rows(model, list(whole[0]), [list(row.values()) for row in whole])
