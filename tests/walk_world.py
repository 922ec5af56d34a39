"""Whom and what the walk over routes and frames finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import MailLink, Scope, User
from accounts.services import api_keys, registration
from accounts.services.callers import Caller
from accounts.services.sign_ins import open_for
from accounts.services.tokens import issue
from chat.models import Conversation, Message
from chat.services.sharing import share_conversation
from chat.services.turn_requests import send_message
from common.db import in_thread
from common.digests import digest
from models_registry.models import ChatModel, Connection
from models_registry.providers.base import Finished, TextDelta
from quotas.services import plans
from tests.chat.conftest import ScriptedModel, make_model
from tests.waiting import until
from tests.walk_table import METRICS_TOKEN, PASSWORD, Route


@dataclass
class World:
    """Alice, with one of everything, Charlie, with nothing, and an administrator."""

    names: dict[str, str]
    access: str
    stranger: str
    administrator: str
    keys: dict[str, str]
    """Alice's API keys, by the only scope that each has."""

    def holder(self, route: Route) -> str:
        """The access token of whoever may."""
        return self.administrator if route.managed else self.access

    def fill(self, value: Any) -> Any:
        """`value` with `{name}` replaced in every text of it."""
        if isinstance(value, str):
            for name, text in self.names.items():
                value = value.replace("{" + name + "}", text)
        elif isinstance(value, list):
            value = [self.fill(each) for each in value]
        elif isinstance(value, dict):
            value = {name: self.fill(each) for name, each in value.items()}
        return value

    def path(self, route: Route) -> str:
        path = route.pattern
        kind = "model" if "models/" in path else "connection"
        for converter, name in [
            ("<uuid:conversation_id>", "conversation"),
            ("<uuid:message_id>", "answer"),
            ("<uuid:session_id>", "session"),
            ("<uuid:user_id>", "stranger"),
            ("<uuid:key_id>", "key"),
            ("<uuid:plan_id>", "plan"),
            ("<uuid:pk>", kind),
            ("<str:token>", "share"),
            ("<path:name>", "model_name"),
        ]:
            path = path.replace(converter, self.names[name])
        return f"/{path}" + (f"?{self.fill(route.query)}" if route.query else "")


@pytest.fixture
async def world(serving, settings, mailoutbox, script) -> World:
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    settings.METRICS_TOKEN = METRICS_TOKEN
    return await in_thread(build)(script)


def build(script: ScriptedModel) -> World:
    for _ in range(6):
        script(TextDelta("Hel"), TextDelta("lo"), Finished("stop"))
    echo = make_model("echo")
    alice, charlie, root = (
        registration.create_person(
            username=name, email=f"{name}@example.org", password=PASSWORD, roles=[role]
        )
        for name, role in (("alice", "member"), ("charlie", "member"), ("root", "admin"))
    )
    own = Connection.objects.create(
        name="own", owner=alice, provider="openai_compatible", base_url="http://127.0.0.1:9/v1"
    )
    model = ChatModel.objects.create(
        name="own-model", owner=alice, connection=own, upstream_name="x"
    )
    conversation = Conversation.objects.create(owner=alice, title="Old plans", model=echo.name)
    started = send_message(Caller(alice, None), conversation.id, content="Hi")
    until(
        lambda: Message.objects.filter(pk=started.ref.message_id, status="complete").exists(),
        "the answer was written",
    )
    pair = issue(open_for(alice))
    keys = {
        scope: api_keys.create(alice, name="A program", scopes=scope.split(), actor=alice)
        for scope in ("", *Scope.values)
    }
    names = {
        "conversation": str(conversation.id),
        "answer": str(started.ref.message_id),
        "session": str(open_for(alice).pk),
        "model": str(model.pk),
        "model_name": echo.name,
        "connection": str(own.pk),
        "share": share_conversation(Caller(alice, None), conversation.id).rpartition("/")[2],
        "access": pair.access_token,
        "refresh": pair.refresh_token,
        "person": str(alice.pk),
        "stranger": str(charlie.pk),
        "plan": str(plans.create(actor=None, name="Small").pk),
        "key": str(keys["read"].row.pk),
        "reset": _letter(alice, MailLink.Purpose.RESET),
        "confirmation": _letter(alice, MailLink.Purpose.CONFIRM_EMAIL),
    }
    return World(
        names,
        pair.access_token,
        stranger=issue(open_for(charlie)).access_token,
        administrator=issue(open_for(root)).access_token,
        keys={scope: key.text for scope, key in keys.items()},
    )


def _letter(user: User, purpose: MailLink.Purpose) -> str:
    """The token in a letter that was sent."""
    token = f"{purpose} of a letter"
    MailLink.objects.create(
        user=user,
        purpose=purpose,
        digest=digest(token),
        address=user.email,
        expires_at=timezone.now() + timedelta(hours=1),
    )
    return token
