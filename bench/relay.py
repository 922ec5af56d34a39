"""The least a Python server can do: pass the provider's bytes on. What Parley is compared with."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

UPSTREAM: web.AppKey[str] = web.AppKey("upstream", str)
SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


async def session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as opened:
        app[SESSION] = opened
        yield


async def relay(request: web.Request) -> web.StreamResponse:
    body = await request.read()
    headers = {"Content-Type": "application/json"}
    url = request.app[UPSTREAM]
    async with request.app[SESSION].post(url, data=body, headers=headers) as upstream:
        answer = web.StreamResponse(
            status=upstream.status, headers={"Content-Type": upstream.headers["Content-Type"]}
        )
        await answer.prepare(request)
        async for chunk in upstream.content.iter_any():
            await answer.write(chunk)
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    app = web.Application()
    app[UPSTREAM] = arguments.upstream
    app.cleanup_ctx.append(session)
    app.router.add_post("/", relay)
    web.run_app(
        app, host="127.0.0.1", port=arguments.port, print=None, loop=uvloop.new_event_loop()
    )


if __name__ == "__main__":
    main()
