"""The folder of the data is full in the middle of answers (F8)."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.person import register
from tests.e2e.test_full_disk import fill, small_disk
from tests.faults.conftest import one_server
from tests.faults.provider import numbers, spoken
from tests.faults.records import Reader, agree, all_began
from tests.models_registry.upstream import answer

__all__ = ["small_disk"]

WORDS = numbers(60)


@pytest.mark.row("F8")
async def test_a_disk_that_is_full_in_mid_answer_loses_nothing(tmp_path, small_disk, upstream):
    """F8: answers go on, reading works, writing is 503; with room again all of it is stored."""
    upstream.script(*[spoken(WORDS, seconds=0.1)] * 5, answer("There is room."))
    environ = {"DATA_DIR": str(small_disk), "FREE_DISK_MB": "5"}
    with one_server(tmp_path, upstream, **environ) as server:
        person = register(server)
        late = Reader(person, person.conversation())
        readers = [Reader(person, person.conversation()) for _turn in range(5)]
        tasks = [asyncio.create_task(reader.ask()) for reader in readers]
        await all_began(readers)

        filler = await asyncio.to_thread(fill, small_disk, leave=0)
        refused = await Reader(person, late.conversation).ask()
        listed = await asyncio.to_thread(person.call, "GET", "conversations")
        for reader in readers:
            await all_began([reader], chunks=len(reader.events) + 5)
        filler.unlink()
        await asyncio.gather(*tasks)

        assert refused.refused is not None
        assert (refused.refused.status, refused.refused.json()["code"]) == (503, "unavailable")
        assert listed.status == 200
        assert (await late.ask()).text == "There is room."
        stored = await agree(server, [*readers, late, refused])
        assert {each["content"] for each in stored[:-1]} == {"".join(WORDS)}
        assert {each["status"] for each in stored} == {"complete"}
        assert "malformed" not in server.log
