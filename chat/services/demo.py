"""A team that never was, with conversations in both languages: to look at, and to try things on."""

from __future__ import annotations

import math
import secrets
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Role, User
from accounts.services import profile, registration
from accounts.services.callers import Caller
from chat.models import Conversation, Message
from chat.services.conversations import create_conversation
from chat.services.search import index_due
from common.db import write_transaction
from common.errors import Conflict
from models_registry.services.models import ensure_offline_model

_FILE = Path(__file__).parent.parent / "data" / "demo.toml"
_BETWEEN_MESSAGES = timedelta(seconds=47)


@dataclass(frozen=True, slots=True)
class Seeded:
    """How much was added. `password` signs in each of the people, "" where nobody was added."""

    people: int
    conversations: int
    messages: int
    password: str


def seed(*, among_people: bool = False) -> Seeded:
    """Add those of the team that are not there yet, each with their conversations.

    A person who is there already is left as they are, whatever became of their conversations.
    Raises Conflict where others than administrators use the deployment, unless `among_people`.
    """
    team = tomllib.loads(_FILE.read_text(encoding="utf-8"))["people"]
    names = [person["username"] for person in team]
    if not among_people and _used_by_others(names):
        raise Conflict(
            _("People use this deployment. To add the demo team all the same: --among-people")
        )
    ensure_offline_model()
    there = set(User.objects.filter(username__in=names).values_list("username", flat=True))
    password = secrets.token_urlsafe(12)
    talks = messages = 0
    newcomers = [person for person in team if person["username"] not in there]
    for person in newcomers:
        user = registration.prepare_person(
            username=person["username"],
            email=f"{person['username']}@demo.example",
            password=password,
        )
        with write_transaction():
            _settle_in(user, person)
            for talk in person["conversations"]:
                messages += _talk(user, talk)
                talks += 1
    index_due(limit=max(talks, 1), seconds=math.inf)
    return Seeded(len(newcomers), talks, messages, password if newcomers else "")


def _used_by_others(names: list[str]) -> bool:
    others = User.objects.get_queryset().exclude(username__in=names)
    return others.exclude(groups__name=Role.ADMIN).exists()


def _settle_in(user: User, person: dict[str, Any]) -> None:
    registration.insert_person(user, roles=person["roles"])
    profile.update_profile(
        user,
        display_name=person["name"],
        language=person["language"],
        timezone=person["timezone"],
    )


def _talk(user: User, talk: dict[str, Any]) -> int:
    """One conversation as it would stand after having been held; how many messages it has."""
    conversation = create_conversation(Caller(user, None), title=talk["title"])
    begun = timezone.now() - timedelta(days=talk["days_ago"], hours=1)
    rows = _messages(conversation, talk["messages"], begun)
    answers = [row for row in rows if row.role == Message.Role.ASSISTANT]
    answers[-1].rating, answers[-1].comment = talk.get("rating", ""), talk.get("comment", "")
    Message.objects.bulk_create(rows)
    Conversation.objects.filter(pk=conversation.pk).update(
        created_at=begun,
        updated_at=rows[-1].created_at,
        archived=talk.get("archived", False),
        pinned=talk.get("pinned", False),
        message_count=len(rows),
        last_position=len(rows),
    )
    return len(rows)


def _messages(
    conversation: Conversation, texts: list[str | dict[str, str]], begun: datetime
) -> list[Message]:
    """The person and the model by turns; a text in a table is a second answer to the same."""
    rows: list[Message] = []
    role = Message.Role.USER
    for position, text in enumerate(texts, 1):
        again = not isinstance(text, str)
        if again:
            role = Message.Role.ASSISTANT
        before = rows[-1] if rows else None
        rows.append(
            Message(
                conversation=conversation,
                parent=before.parent if again and before else before,
                role=role,
                content=text if isinstance(text, str) else text["again"],
                position=position,
                ended_position=position if role == Message.Role.ASSISTANT else None,
                created_at=begun + position * _BETWEEN_MESSAGES,
            )
        )
        role = Message.Role.USER if role == Message.Role.ASSISTANT else Message.Role.ASSISTANT
    return rows
