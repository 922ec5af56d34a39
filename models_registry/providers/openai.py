"""OpenAI's chat completions, and every server that speaks them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import openai
import orjson
from openai import AsyncStream, Omit, omit

from models_registry.errors import PromptTooLong
from models_registry.providers.base import ChatRequest
from models_registry.providers.clients import Entry, pool, raw_bytes
from models_registry.providers.failures import mapped_errors
from models_registry.providers.openai_answer import OpenAIAnswer
from models_registry.providers.openai_client import Client, open_client
from models_registry.providers.streaming import StreamingProvider, ids, listed, read_json

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


class OpenAIProvider(StreamingProvider):
    answer_class = OpenAIAnswer

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[bytes]]:
        async with (
            pool().use(self._endpoint, open_client) as entry,
            self._open(entry, request) as response,
        ):
            yield raw_bytes(response)

    async def list_models(self) -> list[str]:
        with mapped_errors(self._endpoint):  # an address may be none to the client alone
            client = open_client(self._endpoint)
        try:
            with mapped_errors(self._endpoint):
                async with client.models.with_streaming_response.list(
                    extra_headers=self._headers()
                ) as response:
                    return listed(await read_json(response.iter_bytes()), ids)
        finally:
            await client.close()

    @asynccontextmanager
    async def _open(
        self, entry: Entry[Client], request: ChatRequest
    ) -> AsyncIterator[httpx2.Response]:
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
                        if request.strict and _is_too_long(exc):
                            raise PromptTooLong() from exc
                        raise
                    self._refuse(request, refused, entry.refused)
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
        return self._taken(request, body, refused)

    def _token_limits(self, refused: set[str]) -> list[str]:
        """The names for the limit that the server may take, the likelier one first.

        OpenAI's newer models know only the new name, most other servers only the old one.
        """
        official = self._endpoint.base_url.startswith(_OFFICIAL_HOST)
        names = reversed(_TOKEN_LIMITS) if official else _TOKEN_LIMITS
        return [name for name in names if not self._is_refused(name, refused)]


def _is_too_long(exc: openai.APIStatusError) -> bool:
    """As OpenAI, llama.cpp and vLLM say it."""
    words = {exc.code, exc.type}
    known = {"context_length_exceeded", "exceed_context_size_error"}
    return not words.isdisjoint(known) or "maximum context length" in str(exc.body)


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
