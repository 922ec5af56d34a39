"""What a process of its own does, on the test's database: `main("read" or "stop", …)`.

`read TURN MESSAGE CONVERSATION AFTER…` prints, for each position, the events of a turn as a line
of JSON, all read at once. `stop MESSAGE` asks for its end as its owner's person would.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from uuid import UUID

from accounts.services.callers import Caller
from chat.models import Message
from chat.services.stopping import request_stop
from chat.streams.events import TurnRef
from chat.streams.reading import read_turn
from chat.turns.runner import runner
from tests.waiting import until


async def read(ref: TurnRef, after: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(60), aclosing(read_turn(ref, after=after)) as batches:
        async for batch in batches:
            found += [event.data.decode() for event in batch]
            if found and len(found) == 1:
                sys.stderr.write("reading")
    return found


async def read_all(ref: TurnRef, positions: list[int]) -> None:
    for found in await asyncio.gather(*(read(ref, after) for after in positions)):
        sys.stdout.write(json.dumps(found) + "\n")


def main(command: str, *rest: str) -> None:
    runner.ensure()
    if command == "read":
        turn, message, conversation, *positions = rest
        ref = TurnRef(UUID(turn), UUID(message), UUID(conversation), None)
        asyncio.run(read_all(ref, [int(each) for each in positions]))
    else:
        answer = Message.objects.select_related("conversation__owner").get(pk=rest[0])
        request_stop(Caller(user=answer.conversation.owner, sign_in=None), answer.pk)
        until(lambda: not Message.objects.filter(pk=rest[0], status="streaming").exists(), "an end")
    runner.close_from_thread()
