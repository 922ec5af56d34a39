"""A stream that is cut anywhere and resumed, on either transport and process, is the same."""

from __future__ import annotations

import asyncio

import pytest

from tests.events import text_of
from tests.models_registry.upstream import DONE, Reply, Wait, answer, delta, finish, sse, usage

WORDS = [f"word{number} é中🙂 " for number in range(38)]


@pytest.fixture
async def whole(upstream, person):
    """A stream of 40 events: the start, 38 words (two writes of one may merge), the end."""
    gates = [Wait() for _word in WORDS]
    steps = [
        part for gate, word in zip(gates, WORDS, strict=True) for part in (gate, sse(delta(word)))
    ]
    upstream.script(Reply((*steps, sse(finish(), usage(9, 80), DONE))))
    conversation = person.conversation()
    found = []
    async with person.stream(
        f"conversations/{conversation}/messages/stream", {"content": "Count"}
    ) as stream:
        async for event in stream:
            found.append(event)
            if gates:
                gates.pop(0).set()
    return found


@pytest.mark.row("E7")
async def test_forty_events_cut_after_each_and_resumed_by_sse(whole, person, servers):
    assert len(whole) == 40
    message = whole[0]["message_id"]
    for server in servers:
        for cut in range(40):
            last = f"{message}:{whole[cut]['seq']}"

            rest = await person.read(
                f"messages/{message}/stream", at=server, **{"Last-Event-ID": last}
            )

            assert text_of([*whole[: cut + 1], *rest]) == "".join(WORDS)
            assert rest[-1] == whole[-1]


@pytest.mark.row("E7")
async def test_forty_events_cut_after_each_and_resumed_by_socket(whole, person, servers):
    message = whole[0]["message_id"]
    for server in servers:
        async with person.socket(at=server) as socket:
            for cut in range(40):
                await socket.send(type="resume", message_id=message, after=whole[cut]["seq"])

                rest = await socket.until("chat_complete", "chat_error")

                rest[0].pop("ref", None)
                assert text_of([*whole[: cut + 1], *rest]) == "".join(WORDS)
                assert rest[-1] == whole[-1]


@pytest.mark.row("E8")
async def test_a_stream_is_left_while_it_runs_and_resumed_in_the_other_process(
    upstream, person, servers
):
    """E8: the seam between replay and live, at every cut, loses and repeats nothing."""
    message_ids, rests = [], []
    for cut in (0, 1, 7, 20):
        gate = Wait()
        head = [sse(delta(word)) for word in WORDS[:cut]]
        tail = [sse(delta(word)) for word in WORDS[cut:]]
        upstream.script(Reply((*head, gate, *tail, sse(finish(), usage(9, 80), DONE))))
        conversation = person.conversation()
        seen = []
        async with person.stream(
            f"conversations/{conversation}/messages/stream", {"content": "Count"}
        ) as stream:
            async for event in stream:
                seen.append(event)
                if text_of(seen) == "".join(WORDS[:cut]):
                    break
        last = f"{seen[0]['message_id']}:{seen[-1]['seq']}"
        message_ids.append(seen[0]["message_id"])
        async with person.stream(
            f"messages/{message_ids[-1]}/stream", at=servers[1], **{"Last-Event-ID": last}
        ) as stream:
            gate.set()
            rests.append([*seen, *[event async for event in stream]])

    for found in rests:
        assert text_of(found) == "".join(WORDS)
        assert [event["seq"] for event in found] == list(range(len(found)))


async def test_a_tab_in_another_process_hears_of_the_turn(upstream, person, servers):
    upstream.script(answer("Hello."))
    conversation = person.conversation()
    async with person.socket(at=servers[1]) as other:
        await other.send(type="ping", ref="ready")
        await other.until("pong")

        sent = asyncio.create_task(
            person.read(f"conversations/{conversation}/messages/stream", {"content": "Hi"})
        )

        heard = await other.until("chat_complete")
        await sent
    assert [frame["type"] for frame in heard] == ["chat_start", "chat_complete"]
    assert heard[-1]["message"]["content"] == "Hello."
