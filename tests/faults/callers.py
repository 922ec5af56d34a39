"""Every kind of caller of a real server, and one of everything that they own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.e2e.person import Person, administrator, register
from tests.server import Server

SCOPES = ("read", "chat", "support", "read chat")
# Nobody is to be slowed down, or to run out, before all was tried.
ROOMY = {
    "LIMIT_FACTOR": "1000",
    "ALLOW_PRIVATE_UPSTREAMS": "true",
    "PROVIDER_CONNECT_SECONDS": "1",
}


@dataclass
class Callers:
    """`tokens` by kind of caller, nobody's is empty; `ids` by the name of the path's parameter."""

    alice: Person
    bob: Person
    administrator: Person
    tokens: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)

    def renew(self) -> None:
        """Make anew what a request may have deleted."""
        alice, admin = self.alice, self.administrator
        conversation = alice.conversation(title="Plans", model="mock")
        sent = _made(alice, f"conversations/{conversation}/messages", {"content": "Hi"})
        connection = _made(
            alice,
            "connections",
            {
                "scope": "personal",
                "provider": "openai_compatible",
                "name": "Mine",
                "base_url": alice.server.environ["OPENAI_BASE_URL"],
                "api_key": "sk-callers-canary-0123456789",
            },
        )["id"]
        # A name is taken until its model is gone.
        model = {"scope": "personal", "name": f"mine-{connection}", "connection": connection}
        link = _made(alice, f"conversations/{conversation}/share", None)["url"]
        self.ids = {
            "conversation_id": conversation,
            "message_id": sent["message"]["id"],
            "connection_id": connection,
            "model_id": _made(alice, "models", model)["id"],
            "key_id": _made(alice, "api-keys", {"name": "Spare"})["id"],
            "plan_id": _made(admin, "plans", {"name": f"Plan {connection}"})["id"],
            "user_id": register(alice.server).call("GET", "users/me").json()["id"],
            "token": link.rpartition("/")[2],
        }


def gather(server: Server) -> Callers:
    """An administrator, two people and a key of each scope, and what one of them owns."""
    root, alice, bob = administrator(server), register(server), register(server)
    tokens = {
        "nobody": "",
        "owner": alice.token,
        "another": bob.token,
        "administrator": root.token,
    }
    for scope in SCOPES:
        body = {"name": scope, "scopes": scope.split()}
        tokens[f"key: {scope}"] = _made(alice, "api-keys", body)["key"]
    callers = Callers(alice, bob, root, tokens)
    callers.renew()
    return callers


def _made(person: Person, path: str, body: Any) -> Any:
    made = person.call("POST", path, body)
    assert made.status == 201, made.body
    return made.json()
