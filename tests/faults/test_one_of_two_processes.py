"""Two web processes, a worker and a beat: one is killed, or all are replaced one by one."""

from __future__ import annotations

import asyncio
import random
import signal

import pytest

from tests.e2e.person import register
from tests.faults.provider import numbers, spoken
from tests.faults.records import Reader, agree, all_began
from tests.models_registry.upstream import answer
from tests.server import wait_until_ready
from tests.waiting import until

WORDS = numbers(100)
PAUSE = 0.1


async def asking(deployment, server, count, *, seconds):
    """Readers whose turns begin at random moments within `seconds`, each in a task."""
    moments = random.Random(count)  # noqa: S311 moments, not secrets
    person = register(server)

    async def ask(reader):
        await asyncio.sleep(moments.random() * seconds)
        return await reader.ask()

    readers = [Reader(person, person.conversation()) for _turn in range(count)]
    return readers, [asyncio.create_task(ask(reader)) for reader in readers]


@pytest.mark.row("F1")
async def test_a_process_is_killed_amid_fifty_streams(deployment, upstream):
    """F1: `interrupted` within 60 s (here, 120) with what was said; who reads elsewhere gets the
    end, who was cut off comes back for it, and each conversation goes on."""
    upstream.script(spoken(WORDS, seconds=PAUSE))
    first, second = deployment.servers
    readers, tasks = await asking(deployment, first, 50, seconds=4)
    await all_began(readers)
    elsewhere = [Reader(each.person, each.conversation, at=second) for each in readers[::2]]
    joined = [
        asyncio.create_task(other.join(each))
        for other, each in zip(elsewhere, readers[::2], strict=True)
    ]
    await all_began(elsewhere)

    first.send_signal(signal.SIGKILL)
    first.wait()
    await asyncio.gather(*tasks)
    # Those of the other process need not do anything.
    async with asyncio.timeout(120):
        await asyncio.gather(*joined)
    received = [each.text for each in readers]
    deployment.begin_again(first)
    await asyncio.gather(*(reader.go_on(at=second) for reader in readers))

    stored = await agree(second, [*readers, *elsewhere])
    assert len(stored) == 75
    assert {each["status"] for each in stored} == {"interrupted"}
    assert all(reader.end for reader in [*readers, *elsewhere])
    for text, message in zip(received, stored, strict=False):
        assert "".join(WORDS).startswith(message["content"])
        # The TurnLog is written every 50 ms; here, 500.
        assert len(text.split()) - len(message["content"].split()) <= 5
    await asyncio.to_thread(wait_until_ready, deployment.first)
    upstream.script(answer("And on."))
    for reader in readers[:5]:
        again = await Reader(reader.person, reader.conversation, at=deployment.first).ask()
        assert again.text == "And on."
        await agree(second, [again])


class Load:
    """Clients that ask without pause, at either process; who is turned away asks the other one."""

    def __init__(self, deployment, clients):
        self.deployment = deployment
        self.person = register(deployment.first)
        self.conversations = [self.person.conversation() for _client in range(clients)]
        self.readers: list[Reader] = []
        self.ended = False

    async def live(self, number):
        while not self.ended:
            server = self.deployment.servers[number % 2]
            reader = Reader(self.person, self.conversations[number // 2], at=server)
            self.readers.append(await reader.ask())
            if not reader.events:
                number ^= 1
                await asyncio.sleep(0.05)

    def goes_on(self):
        before = len(self.answered)
        until(lambda: len(self.answered) > before, "one more answer", seconds=60)

    @property
    def answered(self):
        return [reader for reader in self.readers if reader.events]


@pytest.mark.row("F2")
async def test_both_processes_are_replaced_under_load_and_nothing_is_lost(deployment, upstream):
    """F2: whoever is turned away asks the other one; every answer that began is whole."""
    upstream.script(spoken(numbers(20), seconds=PAUSE))
    load = Load(deployment, 10)
    clients = [asyncio.create_task(load.live(number)) for number in range(20)]
    for server in deployment.servers:
        await asyncio.to_thread(load.goes_on)
        server.send_signal()
        assert await asyncio.to_thread(server.wait, seconds=300) in {0, -signal.SIGTERM}
        again = deployment.begin_again(server)
        await asyncio.to_thread(wait_until_ready, again, seconds=180)
    load.ended = True
    await asyncio.gather(*clients)

    refused = [reader for reader in load.readers if reader.refused]
    assert {reader.refused.status for reader in refused} <= {503, 409}
    assert {reader.refused.json()["code"] for reader in refused} <= {"unavailable", "conflict"}
    broken = [each for each in load.answered if each.text != "".join(numbers(20))]
    assert not broken, [(each.cut, each.events) for each in broken]
    stored = await agree(deployment.first, load.readers)
    assert {message["status"] for message in stored} == {"complete"}
    assert "Traceback" not in deployment.log
