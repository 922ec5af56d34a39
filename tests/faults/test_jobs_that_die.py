"""A worker that is killed amid its jobs, and jobs that come twice at once."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.e2e.person import register
from tests.faults.provider import numbers, spoken
from tests.faults.records import Reader, agree
from tests.models_registry.upstream import answer
from tests.waiting import until

SEND_EACH_TWICE = """
from django.conf import settings
from config.celery import app
for each in settings.CELERY_BEAT_SCHEDULE.values():
    app.send_task(each["task"])
    app.send_task(each["task"])
"""


@contextlib.contextmanager
def titles(deployment):
    """Models write titles while the block runs: jobs that last, and have turns of their own."""
    for value in ("true", "false"):
        told = deployment.first.command("settings", "set", "automatic_titles", value)
        assert told.returncode == 0, told.stderr
        if value == "true":
            yield


def found(person, word):
    listed = person.call("GET", f"conversations?q={word}").json()
    return [each["id"] for each in listed["results"]]


def title_of(person, conversation):
    return person.call("GET", f"conversations/{conversation}").json()["title"]


async def all_titled(deployment, readers):
    def titled():
        shown = [title_of(each.person, each.conversation) for each in readers]
        return set(shown) == {"A title"}

    await asyncio.to_thread(until, titled, lambda: f"titles\n{deployment.log}", seconds=120)


@pytest.mark.row("F1")
async def test_a_worker_is_killed_amid_its_jobs_and_nothing_hangs(deployment, upstream):
    """F1: the turns of its jobs are ended by those that live; a new worker does what is due."""
    upstream.script(answer("Cherries."))
    person = register(deployment.first)
    readers = [Reader(person, person.conversation()) for _number in range(4)]
    with titles(deployment):
        for reader in readers[:-1]:
            await reader.ask()
        upstream.requests.clear()
        upstream.script(spoken(numbers(600), seconds=0.1))
        await asyncio.to_thread(until, lambda: upstream.chats, "a title is written", seconds=60)

        deployment.kill_jobs("worker")
        await asyncio.to_thread(until, upstream.chats[0].left.is_set, "its provider is left")
        upstream.script(answer("Cherries."))
        await readers[-1].ask()
        upstream.script(answer("A title"))
        deployment.start_jobs("worker")

        await all_titled(deployment, readers[-1:])
        # What it had claimed is due again with the next message.
        upstream.script(*[answer("More.")] * 3, answer("A title"))
        for reader in readers[:-1]:
            again = await Reader(person, reader.conversation).ask()
            assert again.end
        await all_titled(deployment, readers)
    await agree(deployment.second, readers)
    assert len(found(person, "Cherries")) == 4


@pytest.mark.row("T7")
async def test_each_job_twice_at_once_does_what_one_does(deployment, upstream):
    """T7: two workers with four threads each; nothing is done twice, and nothing fails."""
    for name in ("beat", "worker"):
        deployment.kill_jobs(name)
    before = deployment.log.count("Traceback")
    with titles(deployment):
        upstream.script(answer("Plums."))
        person = register(deployment.first)
        readers = [Reader(person, person.conversation()) for _number in range(4)]
        for reader in readers:
            await reader.ask()
        sent = deployment.first.command("shell", "-v", "0", "-c", SEND_EACH_TWICE)
        assert sent.returncode == 0, sent.stderr
        upstream.requests.clear()
        upstream.script(answer("A title"))
        for name in ("worker", "second worker"):
            deployment.start_jobs("worker", name=name)
        await all_titled(deployment, readers)
        deployment.start_jobs("beat")
        assert len(upstream.chats) == 4
    deployment.kill_jobs("second worker")
    assert sorted(found(person, "Plums")) == sorted(each.conversation for each in readers)
    assert deployment.log.count("Traceback") == before
    await agree(deployment.second, readers)
