"""Anthropic's messages, and the servers that speak them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import orjson

from models_registry.providers.anthropic_answer import AnthropicAnswer
from models_registry.providers.anthropic_request import body_of
from models_registry.providers.base import ChatRequest
from models_registry.providers.clients import Entry, pool, raw_bytes
from models_registry.providers.failures import mapped_errors
from models_registry.providers.lazily import imported, load
from models_registry.providers.streaming import (
    MOST_MODELS,
    StreamingProvider,
    ids,
    listed,
    read_json,
)

if TYPE_CHECKING:
    from models_registry.providers.anthropic_client import Client

_CLIENT = "models_registry.providers.anthropic_client"

# The newer version takes no `temperature` and no `top_p`, whatever the model; the older one takes
# them where the model does. What comes back is the same.
_VERSION = "2026-10-21"
_VERSION_WITH_SAMPLING = "2023-06-01"

# Anthropic wants a number: that of the model's row, else one that every model there takes.
MAX_TOKENS = 8_192
_FEWER_TOKENS = 4_096

# What an answer is possible without, if the server minds it.
_DISPENSABLE = ("top_p", "temperature", "thinking", "output_config", "metadata", "tool_choice")
_PAGE = 1_000
_MOST_PAGES = 20


class AnthropicProvider(StreamingProvider):
    answer_class = AnthropicAnswer

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[bytes]]:
        module = await imported(_CLIENT)
        async with pool().use(self._endpoint, module.open_client) as entry:
            response = await self._send(entry, request, status_error=module.APIStatusError)
            try:
                yield raw_bytes(response)
            finally:
                await response.aclose()

    async def list_models(self) -> list[str]:
        module = await imported(_CLIENT)
        with mapped_errors(self._endpoint):  # an address may be none to the client alone
            client: Client = module.open_client(self._endpoint)
        names: list[str] = []
        query = {"limit": str(_PAGE)}
        try:
            with mapped_errors(self._endpoint):
                for _page in range(_MOST_PAGES):
                    body = await _page_of(client, query)
                    found = listed(body, ids)
                    new = [name for name in found if name not in names]
                    names += new
                    if body.get("has_more") is not True or not new or len(names) >= MOST_MODELS:
                        break
                    query = {"limit": str(_PAGE), "after_id": found[-1]}
        finally:
            await client.close()
        return names[:MOST_MODELS]

    @classmethod
    def load_all(cls) -> None:
        load(_CLIENT)

    async def _send(
        self, entry: Entry[Client], request: ChatRequest, *, status_error: type[Exception]
    ) -> httpx2.Response:
        """The response; asked for once more without a parameter that its server does not take."""
        most = request.max_tokens or self._max_output_tokens or MAX_TOKENS
        while True:
            body = self._body(request, max_tokens=most, refused=entry.refused)
            sampled = "temperature" in body or "top_p" in body
            version = _VERSION_WITH_SAMPLING if sampled else _VERSION
            try:
                return await entry.client.send(orjson.dumps(body), version=version)
            except status_error as exc:
                refused = _refused_parameter(exc, body)
                if refused is None:
                    raise
                if refused == "max_tokens":
                    # Not remembered: a long prompt may have left too little room.
                    most = _FEWER_TOKENS
                else:
                    self._refuse(request, refused, entry.refused)

    def _body(self, request: ChatRequest, *, max_tokens: int, refused: set[str]) -> dict[str, Any]:
        body = body_of(request, model=self._model, max_tokens=max_tokens)
        return self._taken(request, body, refused)


async def _page_of(client: Client, query: dict[str, str]) -> dict[str, Any]:
    response = await client.send_list(query, version=_VERSION)
    try:
        body = await read_json(raw_bytes(response))
    finally:
        await response.aclose()
    return body if isinstance(body, dict) else {"data": None}


def _refused_parameter(exc: Any, sent: dict[str, Any]) -> str | None:
    """The parameter that the answer is possible without, if that is what the server minds."""
    if exc.status_code not in {400, 422}:
        return None
    text = str(exc.body)
    if "max_tokens" in text and sent["max_tokens"] > _FEWER_TOKENS:
        return "max_tokens"
    for name in _DISPENSABLE:
        known_as = {"output_config": "effort"}.get(name, name)
        if name in sent and (name in text or known_as in text):
            return name
    return None
