"""Answers that come later than their view: nothing of a request waits in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from common.problems import as_app_error, problem_response
from common.streaming import EventStreamResponse

View = Callable[..., HttpResponseBase]


class Waiting(HttpResponse):
    """What a sync view returns to say: `render` the answer on the loop, when its time comes."""

    def __init__(self, render: Callable[[], Awaitable[HttpResponseBase]]) -> None:
        super().__init__()
        self.render = render


def may_wait(view: View) -> Callable[..., Any]:
    """`view`, a DRF view that returns Waiting or an event stream, for the URLconf."""

    @csrf_exempt
    @wraps(view)
    async def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = await _prepared(partial(_prepare, view, request, *args, **kwargs))
        if not isinstance(response, Waiting):
            return response
        try:
            final = await response.render()
        except Exception as exc:
            if as_app_error(exc) is None:
                raise
            final = problem_response(exc, request)
        for name, value in response.items():
            final.setdefault(name, value)
        return final

    return answer


def _prepare(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
    response = view(request, *args, **kwargs)
    if isinstance(response, Waiting | EventStreamResponse):
        # The answer may take minutes; the connection would be held all that time.
        close_old_connections()
    return response


async def _prepared(prepare: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    preparing = asyncio.ensure_future(sync_to_async(prepare, thread_sensitive=True)())
    try:
        return await asyncio.shield(preparing)
    except asyncio.CancelledError:
        # The client has left; its view goes on in the thread, for an answer nobody takes.
        preparing.add_done_callback(_close)
        raise


def _close(prepared: asyncio.Future[HttpResponseBase]) -> None:
    if not prepared.cancelled() and prepared.exception() is None:
        prepared.result().close()
