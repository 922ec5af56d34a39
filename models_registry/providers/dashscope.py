"""DashScope's own protocol: Qwen and what else Alibaba Cloud's Model Studio offers."""

from __future__ import annotations

import fnmatch
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
from django.conf import settings

from common.outbound import guarded_session
from models_registry.errors import ProviderError, ProviderGarbled
from models_registry.providers.base import ChatRequest, Endpoint
from models_registry.providers.characters import loads
from models_registry.providers.clients import Entry, headers, pool
from models_registry.providers.dashscope_answer import DashScopeAnswer
from models_registry.providers.dashscope_messages import has_image, message_of
from models_registry.providers.failures import by_status, log_refusal, mapped_errors
from models_registry.providers.lazily import imported, load
from models_registry.providers.streaming import (
    MOST_MODELS,
    StreamingProvider,
    listed,
    read_json,
)

_REQUEST = "models_registry.providers.dashscope_request"

_TEXT, _MULTIMODAL = "text-generation", "multimodal-generation"
# Each model is served at one of two paths, and nothing says at which; the other one answers
# "url error". These are the names that begin at the second.
_MULTIMODAL_NAMES = ("*-vl*", "*omni*", "qvq*", "qwen3.[5-9]*", "qwen[4-9]*")

# Of `ChatRequest.options` these go out and no others (SECURITY O9).
_OPTIONS = ("seed", "presence_penalty", "logprobs", "top_logprobs", "parallel_tool_calls")
# What an answer is possible without, if the server minds it.
_DISPENSABLE = ("enable_thinking", "tool_choice", "response_format", "stop", "top_p", "temperature")
_BELOW_TEMPERATURE = 1.99
_NATIVE, _COMPATIBLE = "/api/v1", "/compatible-mode/v1"
_PAGE = 100
_MOST_PAGES = 20


class DashScopeProvider(StreamingProvider):
    answer_class = DashScopeAnswer

    @asynccontextmanager
    async def open(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[bytes]]:
        async with pool().use(self._endpoint, _open_session) as entry:
            response, first = await self._send(entry, request)
            try:
                yield _Body(response, first)
            finally:
                # What was read to its end has given its connection back already.
                response.close()

    async def list_models(self) -> list[str]:
        session = _open_session(self._endpoint)
        try:
            with mapped_errors(self._endpoint):
                try:
                    return await self._list_pages(session)
                except ProviderError as exc:
                    if exc.upstream_status != HTTPStatus.NOT_FOUND:
                        raise
                address = self._address.removesuffix(_NATIVE) + _COMPATIBLE
                body = await self._get(session, f"{address}/models", {})
                return listed(body, _names)
        finally:
            await session.close()

    @classmethod
    def load_all(cls) -> None:
        load(_REQUEST)

    @property
    def _address(self) -> str:
        """The address with the path of this protocol; people have that of the other one at hand."""
        base_url = self._endpoint.base_url.removesuffix(_COMPATIBLE)
        has_path = "/" in base_url.partition("://")[2]
        return base_url if has_path else base_url + _NATIVE

    async def _send(
        self, entry: Entry[aiohttp.ClientSession], request: ChatRequest
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """A good response and its first bytes; asked for once more at the other path, or without
        a parameter that the model does not take."""
        while True:
            path = self._paths(request, entry.refused)[0]
            parameters = self._parameters(request, refused=entry.refused)
            response = await self._generate(entry.client, request, path, parameters)
            kept = False
            try:
                error, first = await _begin(response)
                refused = _refused(first, parameters) if error else ""
                if refused == "url":
                    refused = path if len(self._paths(request, entry.refused)) > 1 else ""
                # Of an error inside a 200 the answer says what is wrong.
                kept = not refused and (error is None or response.status == HTTPStatus.OK)
                if kept:
                    return response, first
            finally:
                if not kept:
                    response.close()
            if error and not refused:
                log_refusal(self._endpoint, error, _word(first))
                raise error
            self._refuse(request, refused, entry.refused)

    async def _generate(
        self,
        session: aiohttp.ClientSession,
        request: ChatRequest,
        path: str,
        parameters: dict[str, Any],
    ) -> aiohttp.ClientResponse:
        module = await imported(_REQUEST)
        streamed = {"Accept": "text/event-stream", "X-DashScope-SSE": "enable"}
        response: aiohttp.ClientResponse = await module.generate(
            multimodal=path == _MULTIMODAL,
            model=self._model,
            messages=[message_of(each) for each in request.messages],
            base_address=self._address,
            session=session,
            headers=self._headers() | streamed,
            waits=_waits(),
            **parameters,
        )
        return response

    def _paths(self, request: ChatRequest, refused: set[str]) -> list[str]:
        paths = [_TEXT, _MULTIMODAL]
        sees = any(has_image(each) for each in request.messages)
        name = self._model.lower()
        if sees or any(fnmatch.fnmatchcase(name, pattern) for pattern in _MULTIMODAL_NAMES):
            paths.reverse()
        return [path for path in paths if not self._is_refused(path, refused)] or paths

    def _parameters(self, request: ChatRequest, *, refused: set[str]) -> dict[str, Any]:
        effort = request.options.get("reasoning_effort")
        temperature = request.temperature
        parameters = {
            **{name: request.options.get(name) for name in _OPTIONS},
            "max_tokens": request.max_tokens,
            "temperature": None if temperature is None else min(temperature, _BELOW_TEMPERATURE),
            "top_p": request.top_p,
            "stop": request.stop,
            "tools": request.tools or None,
            "tool_choice": request.tool_choice if request.tools else None,
            "response_format": request.response_format,
            "enable_thinking": effort not in {"none", "minimal"} if effort else None,
        }
        return self._taken(request, parameters, refused)

    async def _list_pages(self, session: aiohttp.ClientSession) -> list[str]:
        names: list[str] = []
        for page in range(1, _MOST_PAGES + 1):
            query = {"page_no": str(page), "page_size": str(_PAGE)}
            body = await self._get(session, f"{self._address}/models", query)
            found = listed(body, _names)
            new = [name for name in found if name not in names]
            names += new
            if not new or len(names) >= min(_total(body), MOST_MODELS):
                break
        return names[:MOST_MODELS]

    async def _get(self, session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> Any:
        async with session.get(
            url, params=query, headers=self._headers(), timeout=_waits(), allow_redirects=False
        ) as response:
            error, first = await _begin(response)
            if error is not None:
                log_refusal(self._endpoint, error, _word(first))
                raise error
            return await read_json(_Body(response, first))

    def _headers(self) -> dict[str, str]:
        key = self._endpoint.api_key
        return headers() | ({"Authorization": f"Bearer {key}"} if key else {})


class _Body:
    """The rest of a body after its first bytes, as it arrives."""

    def __init__(self, response: aiohttp.ClientResponse, first: bytes) -> None:
        self._content = response.content
        self._first = first

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._first = self._first or await self._content.readany(), b""
        if not chunk:
            raise StopAsyncIteration
        return chunk


def _open_session(endpoint: Endpoint) -> aiohttp.ClientSession:
    return guarded_session(allow_private=endpoint.allow_private)


def _waits() -> aiohttp.ClientTimeout:
    connect = settings.PROVIDER_CONNECT_SECONDS
    silence = max(settings.PROVIDER_FIRST_TOKEN_SECONDS, settings.PROVIDER_SILENCE_SECONDS)
    return aiohttp.ClientTimeout(
        total=None, connect=connect, sock_connect=connect, sock_read=silence
    )


async def _begin(response: aiohttp.ClientResponse) -> tuple[ProviderError | None, bytes]:
    """The first bytes of the body; of a refusal, its error and no more than the beginning."""
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ProviderGarbled()
    if response.status == HTTPStatus.OK:
        first = await response.content.readany()
        is_error = b'"code"' in first and b'"output"' not in first
        return (by_status(HTTPStatus.BAD_REQUEST) if is_error else None), first
    body = bytearray()
    while len(body) < settings.PROVIDER_ERROR_BYTES and (chunk := await response.content.readany()):
        body += chunk
    error = by_status(response.status, response.headers)
    return error, bytes(body[: settings.PROVIDER_ERROR_BYTES])


def _refused(body: bytes, sent: dict[str, Any]) -> str:
    """What the server minds that can be mended: "url" for the path, or a parameter's name."""
    text = body.decode(errors="replace")
    if "InvalidParameter" not in text and "BadRequest" not in text:
        return ""
    if "url error" in text:
        return "url"
    return next((name for name in _DISPENSABLE if name in sent and name in text), "")


def _word(body: bytes) -> Any:
    try:
        found = loads(body)
    except ValueError:
        return None
    return found.get("code") if isinstance(found, dict) else None


def _names(body: Any) -> Iterator[Any]:
    """The native list, or that of the mode compatible with OpenAI's."""
    if "data" in body and not body.get("output"):
        return (entry["id"] for entry in body["data"])
    return (entry["model"] for entry in body["output"]["models"])


def _total(body: Any) -> int:
    total = body["output"].get("total") if body.get("output") else None
    return total if type(total) is int else MOST_MODELS
