"""Every route and every frame, each with one good request. What is not here fails the walk.

`{name}` in a path or a value is an id or a secret from `World`. A row says who may: everybody
(`open`), everybody who is signed in, the owner of the ids in its path alone (`owned`), or those
with a permission (`managed`), who are administrators here. `keys` are the scopes of API keys that
reach it, each by itself; no other key does (K3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

METRICS_TOKEN = "a token for the metrics"
PASSWORD = "correct horse battery"
NEW_PASSWORD = "a longer horse battery"


@dataclass(frozen=True)
class Route:
    """`pattern` is the URLconf's own; `body` the fields of a good request, each of them checked."""

    method: str
    pattern: str
    status: int = 200
    body: dict[str, Any] | None = None
    query: str = ""
    open: bool = False
    owned: bool = False
    managed: bool = False
    streams: bool = False
    keys: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.pattern}"


@dataclass(frozen=True)
class Frame:
    """`owned`: it names something of its sender's, which does not exist for others."""

    type: str
    fields: dict[str, Any]
    answer: str | None
    owned: bool = False

    def __str__(self) -> str:
        return self.type


_SEND = {
    "content": "a canary of a text",
    "parent_id": "{answer}",
    "model": "echo",
    "parameters": {"temperature": 1},
    "attachments": [],
}
_CONVERSATION = {
    "title": "Plans",
    "model": "echo",
    "system_prompt": "Be brief.",
    "parameters": {"temperature": 1},
}
_CHANGES = _CONVERSATION | {"archived": False, "pinned": True}
_PROFILE = {
    "display_name": "Alice",
    "language": "en",
    "timezone": "Europe/Berlin",
    "preferences": {"theme": "dark"},
}
_CONNECTION = {
    "scope": "personal",
    "provider": "openai_compatible",
    "name": "Mine",
    "base_url": "http://127.0.0.1:8159/v1",
    "api_key": "sk-walk-0123456789",
    "enabled": True,
}
_MODEL = {
    "scope": "personal",
    "name": "mine",
    "connection": "{connection}",
    "upstream_name": "gpt-x",
    "display_name": "My own",
    "context_window": 8_192,
    "max_output_tokens": 1_024,
    "input_price": "1.500000",
    "output_price": "2.500000",
    "enabled": True,
    "fallbacks": ["echo"],
}
_ONCE = {
    "messages": [{"role": "user", "content": "a canary of a text"}],
    "model": "echo",
    "temperature": 1,
    "max_tokens": 100,
    "stream": False,
}
_COMPLETION = {
    "model": "echo",
    "messages": [{"role": "user", "content": "a canary of a text"}],
    "temperature": 1,
    "top_p": 1,
    "n": 1,
    "max_tokens": 100,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "seed": 7,
    "stream": False,
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "response_format": {"type": "text"},
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"50256": -100},
    "reasoning_effort": "low",
    "verbosity": "low",
    "user": "somebody",
}

_PERSON = {
    "username": "colleague",
    "email": "colleague@example.org",
    "password": PASSWORD,
    "roles": ["agent"],
}
_SETTINGS = {
    "site_name": "Ours",
    "registration_open": False,
    "default_model": "echo",
    "automatic_titles": False,
    "title_model": "echo",
    "automatic_summaries": False,
    "running_turns_per_user": 20,
    "hold_output_tokens": 1_024,
}
_FILE = {
    "format": "parley.conversations",
    "version": 1,
    "conversations": [
        {"id": "x", "messages": [{"id": "1", "role": "user", "content": "a canary of a text"}]}
    ],
}

_KEY = {
    "name": "A program",
    "scopes": ["read"],
    "models": ["echo"],
    "addresses": ["127.0.0.0/8"],
    "expires_at": "2099-01-01T00:00:00Z",
}
_LIMITS = [
    {"metric": "tokens", "period": "day", "limit": 500_000},
    {"metric": "cost", "period": "month", "limit": "12.500000"},
]
_PLAN = {"name": "Roomy", "is_default": False, "limits": _LIMITS}
_READ = "read"
_CHAT = "chat"
_EITHER = "read chat"

_v1 = "api/v1/"
_plan = _v1 + "plans/<uuid:plan_id>"
_days = "from=2026-01-01&to=2026-12-31"
_person = _v1 + "users/<uuid:user_id>"
_one = _v1 + "conversations/<uuid:conversation_id>"
_message = _v1 + "messages/<uuid:message_id>"

ROUTES = [
    # seen from outside
    Route("GET", "", open=True),
    Route("GET", "admin", open=True, status=302),
    Route("GET", "docs", open=True),
    Route("GET", "redoc", open=True),
    Route("GET", "health", open=True),
    Route("GET", "health/live", open=True),
    Route("GET", "health/ready", open=True),
    Route("GET", "info", open=True),
    Route("GET", "metrics", open=True, headers={"Authorization": f"Bearer {METRICS_TOKEN}"}),
    Route("GET", _v1 + "schema", open=True),
    Route("GET", "share/<str:token>", open=True),
    Route("GET", "reset-password", query="uid={person}&token={reset}", open=True),
    Route("GET", "confirm-email", query="uid={person}&token={confirmation}", open=True),
    # accounts
    Route(
        "POST",
        _v1 + "auth/register",
        201,
        {"username": "newcomer", "email": "new@example.org", "password": PASSWORD},
        open=True,
    ),
    Route("POST", _v1 + "auth/login", body={"username": "alice", "password": PASSWORD}, open=True),
    Route("POST", _v1 + "auth/refresh", body={"refresh_token": "{refresh}"}, open=True),
    Route("POST", _v1 + "auth/logout", 204, {"refresh_token": "{refresh}"}, open=True),
    Route("POST", _v1 + "auth/forgot-password", 202, {"email": "alice@example.org"}, open=True),
    Route(
        "POST",
        _v1 + "auth/reset-password",
        204,
        {"uid": "{person}", "token": "{reset}", "password": NEW_PASSWORD},
        open=True,
    ),
    Route("GET", _v1 + "users/me"),
    Route("PATCH", _v1 + "users/me", body=_PROFILE),
    Route("PUT", _v1 + "users/me", body=_PROFILE),
    Route("DELETE", _v1 + "users/me", 204, {"password": PASSWORD}),
    Route(
        "POST",
        _v1 + "users/me/change-password",
        204,
        {"old_password": PASSWORD, "new_password": NEW_PASSWORD},
    ),
    Route("GET", _v1 + "users/me/stats", keys=_READ),
    Route("GET", _v1 + "users/me/export"),
    Route("GET", _v1 + "users/me/quota", keys=_READ),
    Route("GET", _v1 + "users/me/usage", query=f"{_days}&group_by=model", keys=_READ),
    Route("GET", _v1 + "users/me/sessions"),
    Route("DELETE", _v1 + "users/me/sessions/<uuid:session_id>", 204, owned=True),
    # people
    Route("GET", _v1 + "users", query="q=cha&role=member&is_active=true&limit=5", managed=True),
    Route("POST", _v1 + "users", 201, _PERSON, managed=True),
    Route("GET", _v1 + "users/stats", managed=True),
    Route("GET", _person, managed=True),
    Route(
        "PATCH",
        _person,
        body={"roles": ["agent"], "is_active": True, "plan": "Standard"},
        managed=True,
    ),
    Route("DELETE", _person, 204, managed=True),
    Route("GET", _person + "/sessions", managed=True),
    Route("DELETE", _person + "/sessions", 204, managed=True),
    Route("GET", _v1 + "api-keys"),
    Route("POST", _v1 + "api-keys", 201, _KEY),
    Route("GET", _v1 + "api-keys/<uuid:key_id>", owned=True),
    Route("DELETE", _v1 + "api-keys/<uuid:key_id>", 204, owned=True),
    Route("GET", _v1 + "settings", open=True),
    Route("PATCH", _v1 + "settings", body=_SETTINGS, managed=True),
    # limits
    Route("GET", _v1 + "plans", query="ordering=-name&limit=5", managed=True),
    Route("POST", _v1 + "plans", 201, _PLAN, managed=True),
    Route("GET", _plan, managed=True),
    Route("PATCH", _plan, body=_PLAN, managed=True),
    Route("DELETE", _plan, 204, managed=True),
    Route("GET", _v1 + "usage", query=f"{_days}&group_by=user", managed=True),
    # models
    Route("GET", _v1 + "models", keys=_EITHER),
    Route("POST", _v1 + "models", 201, _MODEL),
    Route("GET", _v1 + "models/<uuid:pk>", owned=True, keys=_EITHER),
    Route("PATCH", _v1 + "models/<uuid:pk>", body=_MODEL, owned=True),
    Route("DELETE", _v1 + "models/<uuid:pk>", 204, owned=True),
    Route("GET", _v1 + "models/<uuid:pk>/access", query="user={person}", owned=True),
    Route("GET", _v1 + "connections"),
    Route("POST", _v1 + "connections", 201, _CONNECTION),
    Route("GET", _v1 + "connections/<uuid:pk>", owned=True),
    Route("PATCH", _v1 + "connections/<uuid:pk>", body=_CONNECTION, owned=True),
    Route("DELETE", _v1 + "connections/<uuid:pk>", 204, owned=True),
    Route("POST", _v1 + "connections/<uuid:pk>/test", owned=True),
    Route("POST", _v1 + "connections/<uuid:pk>/discover", owned=True),
    # chat
    Route(
        "GET",
        _v1 + "conversations",
        query="q=plans&archived=false&ordering=title&limit=5",
        keys=_EITHER,
    ),
    Route("POST", _v1 + "conversations", 201, _CONVERSATION, keys=_CHAT),
    Route("POST", _v1 + "conversations/import", 201, _FILE, keys=_CHAT),
    Route("GET", _one + "/export", query="format=json", owned=True, keys=_EITHER),
    Route("POST", _one + "/share", 201, owned=True, keys=_CHAT),
    Route("DELETE", _one + "/share", 204, owned=True, keys=_CHAT),
    Route("GET", _v1 + "shares", keys=_EITHER),
    Route("GET", _one, owned=True, keys=_EITHER),
    Route("PATCH", _one, body=_CHANGES, owned=True, keys=_CHAT),
    Route("PUT", _one, body=_CHANGES, owned=True, keys=_CHAT),
    Route("DELETE", _one, 204, owned=True, keys=_CHAT),
    Route("POST", _one + "/archive", owned=True, keys=_CHAT),
    Route("POST", _one + "/unarchive", owned=True, keys=_CHAT),
    Route("GET", _one + "/messages", query="branch={answer}&limit=5", owned=True, keys=_EITHER),
    Route("POST", _one + "/messages", 201, _SEND, owned=True, keys=_CHAT),
    Route("POST", _one + "/messages/stream", 200, _SEND, owned=True, streams=True, keys=_CHAT),
    Route("GET", _message, owned=True, keys=_EITHER),
    Route("PATCH", _message, body={"content": "Better"}, owned=True, keys=_CHAT),
    Route("PUT", _message, body={"content": "Better"}, owned=True, keys=_CHAT),
    Route("DELETE", _message, 204, owned=True, keys=_CHAT),
    Route("GET", _message + "/stream", query="after=0", owned=True, streams=True, keys=_EITHER),
    Route("POST", _message + "/stop", owned=True, keys=_CHAT),
    Route(
        "POST",
        _message + "/regenerate",
        201,
        {"model": "echo", "parameters": {"temperature": 1}},
        owned=True,
        keys=_CHAT,
    ),
    Route(
        "POST",
        _message + "/feedback",
        body={"rating": "up", "comment": "Yes"},
        owned=True,
        keys=_CHAT,
    ),
    Route("DELETE", _message + "/feedback", 204, owned=True, keys=_CHAT),
    Route("POST", _v1 + "chat", 200, _ONCE, keys=_CHAT),
    # as OpenAI's clients speak
    Route("GET", "v1/models", keys=_EITHER),
    Route("GET", "v1/models/<path:name>", keys=_EITHER),
    Route("POST", "v1/chat/completions", 200, _COMPLETION, keys=_CHAT),
]

# Values of query parameters that are refused, route by route.
WRONG_QUERIES = {
    _v1 + "conversations": ["q=", "archived=1", "pinned=1", "ordering=x", "limit=0", "cursor=x"],
    _one + "/export": ["format=pdf", "format=", "cursor=x", "ordering=id"],
    _v1 + "shares": ["limit=0", "cursor=x", "ordering=title"],
    _one + "/messages": ["branch=x", "before=x", "limit=0", "ordering=id", "cursor=x"],
    _message + "/stream": ["after=x"],
    _v1 + "users/me/sessions": ["limit=0", "cursor=x", "ordering=user__password"],
    _v1 + "users/me/usage": [
        "group_by=user",
        "group_by=",
        "from=x",
        "from=1999-12-31",
        "to=2101-01-01",
        "from=2026-02-01&to=2026-01-01",
        "from=2025-01-01&to=2026-02-05",
        "ordering=day",
        "cursor=x",
    ],
    _v1 + "usage": ["group_by=purpose", "from=2026-02-30", "to=20260101", f"to={10**30}"],
    _v1 + "plans": ["limit=0", "cursor=x", "ordering=limits"],
    _v1 + "api-keys": ["limit=0", "cursor=x", "ordering=digest"],
    _v1 + "users": ["q=", "is_active=1", "ordering=password", "limit=0", "cursor=x"],
    _person + "/sessions": ["limit=0", "cursor=x", "ordering=user__password"],
    _v1 + "models": ["limit=0", "cursor=x", "ordering=x", "usable=1"],
    _v1 + "models/<uuid:pk>/access": ["user=x"],
    _v1 + "connections": ["limit=0", "cursor=x", "ordering=x"],
}

FRAMES = {
    "/ws/chat": [
        Frame("ping", {}, "pong"),
        Frame("authenticate", {"access_token": "{access}"}, "authenticated"),
        Frame(
            "chat",
            {
                "conversation_id": "{conversation}",
                "content": "a canary of a text",
                "model": "echo",
                "parent_id": "{answer}",
                "idempotency_key": "k",
                "attachments": [],
            },
            "chat_start",
            owned=True,
        ),
        Frame("stop", {"message_id": "{answer}"}, "stopped", owned=True),
        Frame("resume", {"message_id": "{answer}", "after": 0}, "chat_chunk", owned=True),
        Frame("typing", {"conversation_id": "{conversation}"}, None, owned=True),
    ],
}
