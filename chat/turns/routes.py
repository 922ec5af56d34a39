"""The models that may answer a turn, as its row keeps them.

Plain values: the row has to end its turn when the models, or the process that asked them, are gone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from models_registry.providers.base import Prices

if TYPE_CHECKING:
    from chat.models import Turn
    from models_registry.providers.base import Route


class KeptRoute(NamedTuple):
    """What of a route outlives the process."""

    name: str
    encoding: str
    prices: Prices


def kept(routes: list[Route]) -> list[dict[str, Any]]:
    """`routes`, fit for a JSON column."""
    return [
        {
            "model": str(route.model_id),
            "name": route.name,
            "encoding": route.encoding,
            "input": route.prices.input,
            "output": route.prices.output,
            "cached": route.prices.cached,
        }
        for route in routes
    ]


def route_of(turn: Turn) -> KeptRoute:
    """The model that answers; before the first token, the one that was asked for."""
    route = turn.routes[turn.answering or 0]
    prices = Prices(input=route["input"], output=route["output"], cached=route["cached"])
    return KeptRoute(route["name"], route["encoding"], prices)


def may_use(turn: Turn, model_ids: Collection[UUID]) -> bool:
    """Whether one of these models answers the turn, or might: fallbacks come before the first
    token only."""
    routes = turn.routes if turn.answering is None else [turn.routes[turn.answering]]
    return any(UUID(route["model"]) in model_ids for route in routes)
