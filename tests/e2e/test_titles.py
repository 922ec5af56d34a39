"""The job of a real server gives a conversation its title."""

from __future__ import annotations

from typing import Any

from tests.e2e.person import register
from tests.models_registry.upstream import answer
from tests.waiting import until


def test_a_conversation_is_named_after_its_first_answer(servers_at, upstream):
    with servers_at(AUTOMATIC_TITLES="true") as (first, second):
        person = register(first)
        conversation = person.conversation()
        upstream.script(answer("With patience."), answer('"Repairing a tyre"'))

        def shown() -> dict[str, Any]:
            found: dict[str, Any] = person.call(
                "GET", f"conversations/{conversation}", at=second
            ).json()
            return found

        said = person.call("POST", f"conversations/{conversation}/messages", {"content": "How?"})
        assert said.status == 201
        until(lambda: shown()["title_source"] == "auto", "the job has named the conversation")

        assert shown()["title"] == "Repairing a tyre"
        assert shown()["tokens"] == said.json()["message"]["usage"]["total_tokens"]
