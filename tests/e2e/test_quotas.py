"""A limit holds whoever asks how often at once, on the wire, and the books balance afterwards."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.person import PASSWORD, register, sign_in
from tests.e2e.test_leaving_and_dying import settled, until_checkpointed, without_port
from tests.models_registry.upstream import HANG, Reply, answer, delta, refusal, sse
from tests.server import launch, wait_until_ready

CHIEF = {
    "ADMIN_USERNAME": "chief",
    "ADMIN_EMAIL": "chief@example.com",
    "ADMIN_PASSWORD": PASSWORD,
}


def with_plan(server, *limits):
    """A new person on a plan of their own."""
    person, chief = register(server), sign_in(server, "chief")
    wanted = [dict(zip(("metric", "period", "limit"), each, strict=True)) for each in limits]
    plan = chief.call("POST", "plans", {"name": person.username, "limits": wanted})
    assert plan.status == 201, plan.body
    me = person.call("GET", "users/me").json()["id"]
    put = chief.call("PATCH", f"users/{me}", {"plan": person.username})
    assert put.status == 200, put.body
    return person


def quota(person, *, at=None):
    return person.call("GET", "users/me/quota", at=at).json()["limits"]


def books_balance(server):
    told = server.command("audit_usage", "--format", "json")
    assert told.returncode == 0, told.stdout + told.stderr
    return json.loads(told.stdout)


def test_of_64_sends_at_once_exactly_5_are_answered(servers_at, upstream):
    """Promise 2, R1: one limit, 64 conversations, two processes where there are two."""
    upstream.script(*[answer("Hello")] * 5)
    with servers_at(**CHIEF) as servers:
        person = with_plan(servers[0], ("requests", "day", 5))
        conversations = [person.conversation(title="Hi") for _number in range(64)]

        def send(number):
            path = f"conversations/{conversations[number]}/messages"
            return person.call("POST", path, {"content": "Hi"}, at=servers[number % 2])

        with ThreadPoolExecutor(64) as threads:
            answers = list(threads.map(send, range(64)))

        told = Counter((each.status, each.json().get("code")) for each in answers)
        assert told == {(201, None): 5, (429, "quota_exceeded"): 59}
        (limit,) = quota(person)
        assert (limit["used"], limit["held"], limit["remaining"]) == (5, 0, 0)
        for each in answers:
            if each.status == 429:
                named = each.json()["limit"]
                assert set(named) == {
                    "subject",
                    "metric",
                    "period",
                    "limit",
                    "used",
                    "resets_at",
                }
                assert (named["metric"], named["period"], named["limit"]) == ("requests", "day", 5)
                assert named["resets_at"] == limit["resets_at"]
                assert 0 < int(each.headers["retry-after"]) <= 86_400
        assert len(upstream.chats) == 5
        books_balance(servers[0])


def test_a_refusal_leaves_nothing_and_is_not_remembered(servers_at, upstream):
    """T3: once there is room the same key runs."""
    upstream.script(answer("Hello"), answer("Again"))
    with servers_at(**CHIEF) as (server, _other):
        person = with_plan(server, ("requests", "day", 1))
        conversation = person.conversation(title="Hi")
        path = f"conversations/{conversation}/messages"
        assert person.call("POST", path, {"content": "Hi"}).status == 201
        key = {"Idempotency-Key": "once"}

        refused = person.call("POST", path, {"content": "Ho"}, **key)
        over_sse = person.call("POST", f"{path}/stream", {"content": "Ho"})

        assert (refused.status, over_sse.status) == (429, 429)
        assert over_sse.json()["code"] == "quota_exceeded"
        assert len(person.call("GET", path).json()["results"]) == 2
        granted = server.command("quota", "grant", person.username, "requests", "1")
        assert granted.returncode == 0, granted.stderr
        again = person.call("POST", path, {"content": "Ho"}, **key)
        assert again.status == 201, again.body
        assert again.json()["message"]["content"] == "Again"


@pytest.mark.row("T8")
async def test_every_way_a_turn_ends_is_settled_once(servers_at, upstream):
    """Complete, stopped, failed before and after the first token, cut off, killed."""
    with servers_at(**CHIEF) as (first, second):
        person = await asyncio.to_thread(
            with_plan,
            first,
            ("requests", "month", 50),
            ("tokens", "total", 10**6),
            ("cost", "day", "100"),
        )

        async def said(reply, *, stop=False):
            upstream.script(reply)
            conversation = await asyncio.to_thread(person.conversation, title="Hi")
            path = f"conversations/{conversation}/messages/stream"
            async with person.stream(path, {"content": "Hi"}) as stream:
                async for event in stream:
                    if stop and event["type"] == "chat_chunk":
                        message = event["message_id"]
                        await asyncio.to_thread(person.call, "POST", f"messages/{message}/stop")
            return event.get("code") or event["message"]["status"]

        ends = [
            await said(answer("Whole")),
            await said(Reply((sse(delta("Stopped")), HANG)), stop=True),
            await said(refusal(401)),
            await said(Reply((sse(delta("Cut off")),))),
        ]
        assert ends == ["complete", "stopped", "upstream_error", "interrupted"]
        conversation = await asyncio.to_thread(person.conversation, title="Hi")
        upstream.script(Reply((sse(delta("Killed")), HANG)))
        path = f"conversations/{conversation}/messages/stream"
        async with person.stream(path, {"content": "Hi"}) as stream:
            message = (await anext(stream))["message_id"]
            await until_checkpointed(person, message, "Killed")
            first.send_signal(signal.SIGKILL)
            first.wait()
        survivor = second
        if first is second:
            survivor = launch(first.data_dir, **without_port(first))
        try:
            await asyncio.to_thread(wait_until_ready, survivor)
            assert (await settled(person, message, at=survivor))["status"] == "interrupted"

            limits = {each["metric"]: each for each in quota(person, at=survivor)}
            usage = person.call("GET", "users/me/usage", at=survivor).json()["results"]
            books_balance(survivor)
        finally:
            survivor.stop()

    assert [float(each["held"]) for each in limits.values()] == [0, 0, 0]
    assert limits["requests"]["used"] == sum(day["requests"] for day in usage) == 5
    assert limits["tokens"]["used"] == sum(day["total_tokens"] for day in usage) > 0
