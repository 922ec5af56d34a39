"""What every protocol over HTTP does with an answer and with a list of models."""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from http import HTTPStatus
from typing import Any, ClassVar

from django.utils.translation import gettext as _

from common.text import clean, is_line
from models_registry.errors import ParameterRefused, ProviderGarbled, ProviderOverflow
from models_registry.providers.answer import Answer
from models_registry.providers.base import ChatRequest, Provider, ProviderEvent
from models_registry.providers.characters import loads
from models_registry.providers.clients import close_clients
from models_registry.providers.failures import as_provider_error, mapped_errors

# Usage and the vendor's last word follow the finish at once; a server that falls silent there is
# not waited for.
AFTER_FINISH_SECONDS = 5.0
# The bytes that end the response: a connection whose end was not read is not used again.
AFTER_DONE_SECONDS = 0.05
# Text that follows within this time is gathered for as long, unless so much is there already.
GATHER_SECONDS = 0.04
GATHERED_BYTES = 8 << 10
MODEL_LIST_BYTES = 4 << 20
MOST_MODELS = 2_000
MODEL_NAME_CHARACTERS = 200
# What decides over the form of an answer.
_DECISIVE = {"response_format", "stop", "tool_choice"}


class StreamingProvider(Provider):
    """Asks through the vendor's client, but reads the bytes itself: the clients' objects cost more
    CPU than the rest of a turn together."""

    answer_class: ClassVar[type[Answer]]

    @abstractmethod
    def open(self, request: ChatRequest) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The body of a good response, as it arrives; leaving closes it."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        answer = self.answer_class()
        with mapped_errors(self._endpoint):
            # No generator between this one and the body: each costs something per token.
            async with self.open(request) as chunks:
                gathering = Gathering()
                async for chunk in chunks:
                    found = answer.feed(chunk)
                    for event in found:
                        yield event
                    if answer.ended:
                        break
                    # Pieces of one long line, and of a flood, are read as fast as they come.
                    if found and len(chunk) < GATHERED_BYTES:
                        await gathering.wait()
                async with aclosing(_read_tail(answer, chunks)) as events:
                    async for event in events:
                        yield event
                for event in answer.close():
                    yield event
        for event in answer.finish():
            yield event

    @classmethod
    async def close_all(cls) -> None:
        await close_clients()

    def _taken(
        self, request: ChatRequest, fields: dict[str, Any], refused: set[str]
    ) -> dict[str, Any]:
        """Those of `fields` that are given and that the server takes; raises ParameterRefused."""
        minded = [name for name in fields if self._is_refused(name, refused)]
        for name in minded:
            _check_dispensable(request, name)
        return {
            name: value
            for name, value in fields.items()
            if value is not None and name not in minded
        }

    def _refuse(self, request: ChatRequest, name: str, refused: set[str]) -> None:
        """From now on this model is not asked with `name`; raises ParameterRefused where this
        request cannot do without."""
        _check_dispensable(request, name)
        refused.add(f"{self._model} {name}")

    def _is_refused(self, name: str, refused: set[str]) -> bool:
        return f"{self._model} {name}" in refused


class Gathering:
    """Has text that comes faster than anyone reads handed on 25 times a second at most: each
    time costs us the same, whether one word came or ten. What comes slower never waits."""

    __slots__ = ("_came_at", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._came_at = -math.inf

    async def wait(self) -> None:
        """Something has come and was handed on."""
        if self._loop.time() - self._came_at < GATHER_SECONDS:
            await asyncio.sleep(GATHER_SECONDS)
        self._came_at = self._loop.time()


def _check_dispensable(request: ChatRequest, name: str) -> None:
    known_as = "response_format" if name == "output_config" else name
    if request.strict and known_as in _DECISIVE and getattr(request, known_as):
        cannot = _("The model does not take %(name)s.")
        raise ParameterRefused(cannot % {"name": known_as})


async def read_json(chunks: AsyncIterator[bytes]) -> Any:
    """A body that is a list of models."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MODEL_LIST_BYTES:
            raise ProviderOverflow()
    try:
        return loads(bytes(body))
    except ValueError as exc:
        raise ProviderGarbled(upstream_status=HTTPStatus.OK) from exc


def listed(body: Any, names: Callable[[Any], Iterable[Any]]) -> list[str]:
    """What `names` finds in such a body, less what can be no name; garbled where it fails."""
    try:
        found = list(names(body))
    except (TypeError, KeyError) as exc:
        raise ProviderGarbled(upstream_status=HTTPStatus.OK) from exc
    sound = [clean(name) for name in found if isinstance(name, str)]
    fitting = [name for name in sound if 0 < len(name) <= MODEL_NAME_CHARACTERS and is_line(name)]
    return list(dict.fromkeys(fitting))[:MOST_MODELS]


def ids(body: Any) -> Iterator[Any]:
    """The names in a list as OpenAI and Anthropic write it."""
    return (entry["id"] for entry in body["data"])


async def _read_tail(
    answer: Answer, chunks: AsyncIterator[bytes]
) -> AsyncGenerator[ProviderEvent, None]:
    """What follows the finish: usage, the last word, and the end of the response."""
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
