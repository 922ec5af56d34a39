"""OpenAI's chat completions, and every server that speaks them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx2
import openai
import orjson
from openai import AsyncAPIResponse, AsyncStream, Omit, omit

from common.text import clean
from models_registry.errors import ProviderGarbled, ProviderOverflow
from models_registry.providers.base import ChatRequest, Endpoint, Provider, ProviderEvent
from models_registry.providers.characters import loads
from models_registry.providers.clients import Entry, close_clients, open_client, pool, raw_bytes
from models_registry.providers.failures import as_provider_error, mapped_errors
from models_registry.providers.openai_answer import Answer

# Usage and [DONE] follow the finish at once; a server that falls silent there is not waited for.
AFTER_FINISH_SECONDS = 5.0
# The bytes that end the response: a connection whose end was not read is not used again.
AFTER_DONE_SECONDS = 0.05
MODEL_LIST_BYTES = 4 << 20
MOST_MODELS = 2_000
MODEL_NAME_CHARACTERS = 200

# Of `ChatRequest.options` these go out and no others: a gateway would take `api_base`, `api_key`,
# `extra_headers` and the like as orders to itself (SECURITY O9).
_OPTIONS = frozenset(
    {
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "parallel_tool_calls",
        "reasoning_effort",
        "verbosity",
        "user",
    }
)
_TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
_OFFICIAL_HOST = "https://api.openai.com/"


class OpenAIProvider(Provider):
    """Talks through the official client, but reads the bytes itself: the client's objects cost
    more CPU than the rest of a turn together."""

    def __init__(self, endpoint: Endpoint, *, upstream_name: str) -> None:
        self._endpoint = endpoint
        self._model = upstream_name

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        answer = Answer()
        with mapped_errors(self._endpoint):
            async with (
                pool().use(self._endpoint) as entry,
                self._open(entry, request) as response,
            ):
                # No generator between this one and the body: each costs something per token.
                chunks = raw_bytes(response)
                async for chunk in chunks:
                    for event in answer.feed(chunk):
                        yield event
                    if answer.ended:
                        break
                async with aclosing(_read_tail(answer, chunks)) as events:
                    async for event in events:
                        yield event
                for event in answer.close():
                    yield event
        for event in answer.finish():
            yield event

    async def list_models(self) -> list[str]:
        client = open_client(self._endpoint)
        try:
            with mapped_errors(self._endpoint):
                async with client.models.with_streaming_response.list(
                    extra_headers=self._headers()
                ) as response:
                    return _names(await _body(response))
        finally:
            await client.close()

    @classmethod
    async def close_all(cls) -> None:
        await close_clients()

    @asynccontextmanager
    async def _open(self, entry: Entry, request: ChatRequest) -> AsyncIterator[httpx2.Response]:
        """The response; asked for once more without a parameter that its server does not know.

        The client's own method for this would walk every message on the event loop (27 ms of CPU
        for 200), and write the JSON slowly; it sends what it is given just as well.
        """
        async with AsyncExitStack() as stack:
            response: httpx2.Response | None = None
            while response is None:
                body = self._body(request, refused=entry.refused)
                try:
                    # `cast_to` is what it answers with; its types know of `stream_cls` alone.
                    sent: Any = await entry.client.post(
                        "/chat/completions",
                        cast_to=httpx2.Response,
                        content=orjson.dumps(body),
                        options={"headers": self._headers()},
                        stream=True,
                        stream_cls=AsyncStream[Any],
                    )
                    response = sent
                except openai.APIStatusError as exc:
                    refused = _refused_parameter(exc, body)
                    if refused is None:
                        raise
                    entry.refused.add(f"{self._model} {refused}")
            stack.push_async_callback(response.aclose)
            yield response

    def _headers(self) -> dict[str, str | Omit]:
        # Without a key the client insists on being told that none is meant.
        return {} if self._endpoint.api_key else {"Authorization": omit}

    def _body(self, request: ChatRequest, *, refused: set[str]) -> dict[str, Any]:
        limits = dict.fromkeys(self._token_limits(refused)[:1], request.max_tokens)
        body = {
            "model": self._model,
            "stream": True,
            **{name: value for name, value in request.options.items() if name in _OPTIONS},
            **limits,
            "messages": request.messages,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stop": request.stop,
            "tools": request.tools or None,
            "tool_choice": request.tool_choice if request.tools else None,
            "response_format": request.response_format,
            "stream_options": {"include_usage": True},
        }
        return {
            name: value
            for name, value in body.items()
            if value is not None and f"{self._model} {name}" not in refused
        }

    def _token_limits(self, refused: set[str]) -> list[str]:
        """The names for the limit that the server may take, the likelier one first.

        OpenAI's newer models know only the new name, most other servers only the old one.
        """
        official = self._endpoint.base_url.startswith(_OFFICIAL_HOST)
        names = reversed(_TOKEN_LIMITS) if official else _TOKEN_LIMITS
        return [name for name in names if f"{self._model} {name}" not in refused]


async def _read_tail(
    answer: Answer, chunks: AsyncIterator[bytes]
) -> AsyncGenerator[ProviderEvent, None]:
    """What follows the finish: usage and [DONE], and the end of the response."""
    while not (answer.done or answer.failure):
        chunk = await _next(chunks, seconds=AFTER_FINISH_SECONDS)
        if chunk is None:
            return
        for event in answer.feed(chunk):
            yield event
    if answer.done:
        await _next(chunks, seconds=AFTER_DONE_SECONDS)


async def _next(chunks: AsyncIterator[bytes], *, seconds: float) -> bytes | None:
    """What comes after the finish: None when nothing does, or the connection breaks there."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(chunks, None)
    except Exception as exc:
        if as_provider_error(exc) is None:
            raise
        return None


def _refused_parameter(exc: openai.APIStatusError, sent: dict[str, Any]) -> str | None:
    """The parameter that the answer is possible without, if that is what the server minds."""
    if exc.status_code not in {400, 422}:
        return None
    text = str(exc.body)
    if "stream_options" in sent and "stream_options" in text:
        return "stream_options"
    for name in _TOKEN_LIMITS:
        if name in sent and "max_completion_tokens" in text:
            return name
    unsupported = exc.code in {"unsupported_parameter", "unsupported_value"}
    if unsupported and exc.param in {"temperature", "top_p", "stop"} and exc.param in sent:
        return exc.param
    return None


async def _body(response: AsyncAPIResponse[Any]) -> bytes:
    body = bytearray()
    async for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MODEL_LIST_BYTES:
            raise ProviderOverflow()
    return bytes(body)


def _names(body: bytes) -> list[str]:
    try:
        listed = loads(body)["data"]
        names = [entry["id"] for entry in listed]
    except (ValueError, TypeError, KeyError) as exc:
        raise ProviderGarbled(upstream_status=HTTPStatus.OK) from exc
    sound = [clean(name) for name in names if isinstance(name, str)]
    fitting = [name for name in sound if 0 < len(name) <= MODEL_NAME_CHARACTERS]
    return list(dict.fromkeys(fitting))[:MOST_MODELS]
