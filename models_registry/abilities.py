"""What a model can be asked for beside text, as far as anybody knows."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from models_registry.providers.vendors import VENDORS
from models_registry.well_known import lookup

if TYPE_CHECKING:
    from models_registry.providers.base import Route

VISION = "vision"
TOOLS = "tools"
STOP = "stop"
SEED = "seed"
LOGPROBS = "logprobs"
JSON_OBJECT = "json_object"
JSON_SCHEMA = "json_schema"

# A model's own; the others are its protocol's.
_OF_MODELS = frozenset({VISION, TOOLS})
_OF_PROTOCOLS = {
    "openai": frozenset({STOP, SEED, LOGPROBS, JSON_OBJECT, JSON_SCHEMA}),
    "dashscope": frozenset({STOP, SEED, LOGPROBS, JSON_OBJECT, JSON_SCHEMA}),
    "anthropic": frozenset({STOP, JSON_SCHEMA}),
    # The same question has the same answer, whatever the seed.
    "offline": frozenset({STOP, SEED}),
}


def lacking(route: Route, wanted: Collection[str]) -> str:
    """The first of what is `wanted` that the model of `route` cannot do; "" when it can do all.

    Of a model that nobody knows anything of, its provider is the judge.
    """
    known = bool(route.capabilities) or lookup(route.upstream_name) is not None
    protocol = VENDORS[route.endpoint.provider].protocol
    able = _OF_PROTOCOLS[protocol] | (route.capabilities if known else _OF_MODELS)
    return next((each for each in wanted if each not in able), "")
