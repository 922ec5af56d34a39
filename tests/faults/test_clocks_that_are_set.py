"""The clock of the machine is set while people talk (F17)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.e2e.person import register, sign_in
from tests.faults.provider import numbers, spoken
from tests.faults.records import Reader, agree, all_began
from tests.models_registry.upstream import answer
from tests.server import Server
from tests.waiting import until

_FOUND = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
WORDS = numbers(300)


class Clock:
    """What a server takes for the time; clocks that count seconds go on as they do."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faketimerc"
        self.set("+0s")
        self.environ = {
            "LD_PRELOAD": str(_FOUND[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # else each look at a clock reads the file
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Its `time.sleep` fails under libfaketime once the clock went back (EINVAL, seen).
            "EMBEDDED_WORKER": "false",
        }

    def set(self, step: str) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{step}\n")
        beside.replace(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if not _FOUND:
        pytest.skip("sets a server's clock: played where libfaketime is installed, as in .ci/run")
    return Clock(tmp_path)


async def shows(clock: Clock, step: str, server: Server) -> None:
    """Set the clock and wait until the server goes by it."""
    clock.set(step)
    count, unit = int(step[:-1]), step[-1]
    off = timedelta(**{{"s": "seconds", "d": "days"}[unit]: count})

    def is_set() -> bool:
        told = parsedate_to_datetime(server.request("/health/live").headers["date"])
        return abs(told - datetime.now(tz=UTC) - off) < timedelta(seconds=10)

    await asyncio.to_thread(until, is_set, f"the server's clock is at {step}")


@pytest.mark.row("F17")
@pytest.mark.parametrize("stores", ["sqlite", "postgresql"])
async def test_a_turn_goes_on_and_the_transcript_keeps_its_order(
    alone, upstream, clock, request, stores
):
    """Days forward and back in mid-answer: no wait is over, or without end, and what was counted
    is counted once; 20 s back is within what tokens forgive."""
    variables = dict(clock.environ)
    if stores == "postgresql":
        variables["DATABASE_URL"] = request.getfixturevalue("own_postgresql").url
        variables["REDIS_URL"] = request.getfixturevalue("own_redis").url
    with alone(**variables) as server:
        person = register(server)
        await shows(clock, "-20s", server)
        assert person.call("GET", "users/me").status == 200
        reader = Reader(person, person.conversation())
        upstream.script(spoken(WORDS, seconds=0.1), *[answer("And now?")] * 3)
        asking = asyncio.create_task(reader.ask())
        await all_began([reader])
        # Within the 14 days of a sign-in, whose end would be that of the stream (S4).
        for step in ("+2d", "-3d", "+10d", "-20s"):
            await shows(clock, step, server)
            await all_began([reader], chunks=len(reader.events) + 4)
        assert await asking is reader
        readers = [reader]
        for step in ("+2d", "-3d", "+0s"):
            await shows(clock, step, server)
            person.token = sign_in(person.server, person.username).token
            readers.append(await Reader(person, reader.conversation).ask())

        stored = await agree(server, readers)
        transcript = person.call("GET", f"conversations/{reader.conversation}/messages").json()
        limits = person.call("GET", "users/me/quota").json()["limits"]

    assert stored[0]["content"] == "".join(WORDS)
    assert {each["status"] for each in stored} == {"complete"}
    assert 0 < stored[0]["seconds"] < 60
    said = [each["content"] for each in transcript["results"] if each["role"] == "user"]
    assert said == [each.said for each in readers]
    assert {float(each["held"]) for each in limits} == {0}
    assert "Traceback" not in server.log
