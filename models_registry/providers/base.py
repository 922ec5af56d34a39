"""The contract between a turn and whoever answers it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to call and with which key ("" for none). `repr` never shows the key."""

    connection_id: UUID
    provider: str
    base_url: str
    api_key: str = field(repr=False)
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Prices:
    """Billionths of the currency unit per 1,000,000 tokens."""

    input: int = 0
    output: int = 0
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """A model as a turn needs it: plain values, good after its rows are gone."""

    model_id: UUID
    name: str
    endpoint: Endpoint
    upstream_name: str
    context_window: int | None
    max_output_tokens: int | None
    encoding: str
    prices: Prices
    capabilities: frozenset[str]
    owner_id: UUID | None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the model is asked. `messages`, `tools`, `tool_choice` and `response_format` have
    OpenAI's shape; None leaves a parameter to the provider. `options` are further parameters;
    a provider passes on those it knows and drops the rest. `strict`: what decides over the form of
    the answer may not be dropped, should the model mind it, and a prompt that the provider finds
    too long is told as that. `purpose` and `language` ("en",
    "zh-hans") are for a provider that makes its own sentences: what they are for, and in what."""

    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    strict: bool = False
    purpose: str = "message"
    language: str = "en"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True)
class LogprobsDelta:
    """How likely the words were that have just come: entries in OpenAI's shape."""

    entries: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the tool call with this `index`; `id` and `name` come once, `arguments` in
    fragments of one JSON text."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the provider counted; unchecked, see `models_registry.tokens.trusted_usage`."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The end. `reason`: stop, length, tool_calls, content_filter."""

    reason: str
    usage: Usage | None = None


ProviderEvent = TextDelta | ReasoningDelta | LogprobsDelta | ToolCallDelta | Finished


class Provider(ABC):
    """Speaks one wire protocol to one endpoint.

    Contract, checked by tests/models_registry/test_provider_contract.py:
    - `stream` yields any number of deltas, then exactly one `Finished`;
    - it raises only `ProviderError` subclasses, never an HTTP client's own errors;
    - closing the generator early closes the connection to the vendor.
    """

    def __init__(
        self, endpoint: Endpoint, *, upstream_name: str, max_output_tokens: int | None = None
    ) -> None:
        self._endpoint = endpoint
        self._model = upstream_name
        self._max_output_tokens = max_output_tokens

    @abstractmethod
    def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the model's answer as it arrives."""

    @abstractmethod
    async def list_models(self) -> list[str]:
        """The names the server offers, in its order."""

    @classmethod
    def load_all(cls) -> None:
        """Import what an answer needs and the class itself does not."""
        return

    @classmethod
    async def close_all(cls) -> None:
        """Close what this protocol keeps open between turns on the running loop."""
        return
