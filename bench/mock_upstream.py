"""A provider that costs next to nothing: streams a known number of tokens at a known pace.

The model's name sets the pace: `paced-100x20` writes 100 tokens, the first after 20 ms, the others
20 ms apart. Each token holds one MARK, so that what arrives can be counted however it was framed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re

import uvloop
from aiohttp import web

MARK = "~"
MODEL = "paced-100x20"
# Ten words a second for ten seconds.
SLOW_MODEL = "paced-100x100"
# Two words at once: what it costs to begin.
SHORT_MODEL = "paced-2x1"
PACE = re.compile(r"paced-(\d{1,6})x(\d{1,6})$")


def _event(delta: dict[str, str], **fields: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": fields.pop("finish", None)}
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL,
        "choices": [choice],
        **fields,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


FIRST = _event({"role": "assistant", "content": ""})
TOKEN = _event({"content": f"word{MARK} "})


def _end(tokens: int) -> bytes:
    usage = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
    return _event({}, finish="stop", usage=usage) + b"data: [DONE]\n\n"


async def complete(request: web.Request) -> web.StreamResponse:
    pace = PACE.match((await request.json()).get("model", ""))
    if not pace:
        return web.json_response({"error": {"message": "no such model"}}, status=404)
    tokens, wait = int(pace[1]), int(pace[2]) / 1000
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(1, tokens + 1):
        # Due times, not pauses: a late timer must not stretch the answer.
        await asyncio.sleep(began + number * wait - loop.time())
        await answer.write(FIRST + TOKEN if number == 1 else TOKEN)
    await answer.write(_end(tokens))
    return answer


async def models(_request: web.Request) -> web.Response:
    names = (MODEL, SLOW_MODEL, SHORT_MODEL)
    listed = [{"id": name, "object": "model"} for name in names]
    return web.json_response({"object": "list", "data": listed})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/v1/models", models)
    web.run_app(
        app,
        host="127.0.0.1",
        port=parser.parse_args().port,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
