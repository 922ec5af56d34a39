"""Tools that a turn may call: what the model asked for, run with limits, given back to it.

Who brings tools along is the support desk's AI agent, which is still to come: until then every
turn has an empty table. Chat itself hands the calls of a model through and runs none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from django.conf import settings

from common.text import beginning, clean

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tool:
    """`schema` in OpenAI's shape; `call` takes the parsed arguments and answers with text.

    What `call` does in the database it does in thread hops of its own.
    """

    schema: dict[str, Any]
    call: Callable[[dict[str, Any]], Awaitable[str]]


ToolTable = dict[str, Tool]


def schemas(table: ToolTable) -> list[dict[str, Any]]:
    return [tool.schema for tool in table.values()]


async def run(calls: list[dict[str, Any]], table: ToolTable) -> list[dict[str, Any]]:
    """The calls with their results. A tool that fails, or takes too long, says so to the model."""
    at_once = asyncio.Semaphore(settings.TOOLS_AT_ONCE)

    async def one(call: dict[str, Any]) -> dict[str, Any]:
        async with at_once:
            began = time.monotonic()
            status, result = await _call(call, table)
            seconds = round(time.monotonic() - began, 3)
            return call | {"result": result, "status": status, "seconds": seconds}

    return await asyncio.gather(*(one(call) for call in calls))


async def _call(call: dict[str, Any], table: ToolTable) -> tuple[str, str]:
    tool = table.get(call["name"])
    if tool is None:
        return "failed", "There is no such tool."
    try:
        arguments = orjson.loads(call["arguments"] or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        return "failed", "The arguments are not a JSON object."
    try:
        async with asyncio.timeout(settings.TOOL_SECONDS):
            result = await tool.call(arguments)
    except TimeoutError:
        return "failed", "The tool took too long."
    except Exception:  # the model gets a sentence, the log the cause
        logger.exception(
            "A tool failed, and the model was told so. See to the tool.", tool=call["name"]
        )
        return "failed", "The tool failed."
    return "done", beginning(clean(result), most_bytes=settings.TOOL_RESULT_BYTES)


def as_messages(text: list[str], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the model is told of the round, in OpenAI's shape."""
    asked: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(text) or None,
        "tool_calls": [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in results
        ],
    }
    answered = [
        {"role": "tool", "tool_call_id": call["id"], "content": call["result"]} for call in results
    ]
    return [asked, *answered]
