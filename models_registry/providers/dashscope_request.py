"""DashScope's SDK, which says what a request looks like. To be imported through `lazily`.

Sending and reading are ours. The SDK logs what the provider wrote and the URL (SECURITY K10),
follows redirects (O6), reads a refusal's whole body (F10), sends what it could not send a second
time, and its chunk objects cost nearly twice what ours do per token. Key, address and
session are passed with every call: its module globals hold the environment's (K9).
"""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson
from dashscope.aigc.generation import AioGeneration
from dashscope.client.base_api import BaseAioApi
from dashscope.common.error import DashScopeException

from models_registry.errors import ProviderRefused

# Arguments of the SDK's calls that are no parameters of the model.
_NOT_PARAMETERS = frozenset({"stream", "workspace", "user_agent", "api_key"})


class _Sender(BaseAioApi):
    """Takes the place of what the SDK's generation sends with."""

    task = ""

    @classmethod
    async def call(  # type: ignore[override]
        cls,
        *,
        model: str,
        input: dict[str, Any],  # noqa: A002 the SDK's word
        task_group: str,
        task: str,
        function: str,
        base_address: str,
        session: aiohttp.ClientSession,
        headers: dict[str, str],
        waits: aiohttp.ClientTimeout,
        **rest: Any,
    ) -> aiohttp.ClientResponse:
        parameters = {name: rest[name] for name in rest.keys() - _NOT_PARAMETERS}
        return await session.post(
            f"{base_address}/services/{task_group}/{cls.task or task}/{function}",
            data=orjson.dumps({"model": model, "input": input, "parameters": parameters}),
            headers=headers,
            timeout=waits,
            allow_redirects=False,
        )


class TextGeneration(AioGeneration, _Sender):  # type: ignore[misc]
    @classmethod
    def _stream_responses(  # type: ignore[override]
        cls, response: aiohttp.ClientResponse
    ) -> aiohttp.ClientResponse:
        return response


class MultimodalGeneration(TextGeneration):
    """The same for models that see; DashScope keeps them, and all newer ones, at another path."""

    task = "multimodal-generation"


async def generate(
    *, multimodal: bool, model: str, messages: list[dict[str, Any]], **given: Any
) -> aiohttp.ClientResponse:
    """The response to a request for an answer, its body unread."""
    api: Any = MultimodalGeneration if multimodal else TextGeneration
    try:
        response: aiohttp.ClientResponse = await api.call(
            model=model,
            messages=messages,
            # None would be the environment's.
            api_key="",
            stream=True,
            incremental_output=True,
            result_format="message",
            **given,
        )
    except DashScopeException as exc:
        raise ProviderRefused() from exc
    return response
