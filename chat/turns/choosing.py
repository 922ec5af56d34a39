"""Which model shall answer, how, and who pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from constance import config
from django.conf import settings

from chat.turns.context import room_for
from chat.turns.runner import refuse_when_draining
from common import disk
from models_registry.services.routing import resolve_model, routes_for
from quotas.models import Payer

if TYPE_CHECKING:
    from accounts.models import User
    from accounts.services.callers import Caller
    from models_registry.models import ChatModel
    from models_registry.providers.base import Route


@dataclass(frozen=True, slots=True)
class Asked:
    """Which model shall answer, and how."""

    user: User
    model: ChatModel
    routes: list[Route]
    parameters: dict[str, Any]
    payer: Payer

    @property
    def answer_tokens(self) -> int:
        """Room that the answer is expected to need."""
        route = self.routes[0]
        wanted: int = self.parameters.get("max_tokens") or config.hold_output_tokens
        return min(wanted, route.max_output_tokens or wanted)

    @property
    def room(self) -> int:
        """Tokens that the prompt may take."""
        return room_for(
            self.routes[0].context_window,
            default_window=settings.CONTEXT_WINDOW,
            answer_tokens=self.answer_tokens,
        )


def choose_model(
    caller: Caller, name: str, parameters: dict[str, Any], *, attribution: str = ""
) -> Asked:
    """The model that the caller means, with its fallbacks, of those that an API key is bound to if
    it is. They pay; `attribution` is whom an API client says that it asks for.

    Raises NotFound, ModelNotAllowed, ModelUnavailable and, while nothing new may begin,
    Unavailable.
    """
    refuse_when_draining()
    disk.check_room()
    model = resolve_model(caller.user, name or None, only=caller.models)
    routes = routes_for(model, caller.user, only=caller.models)
    key_id = caller.key.pk if caller.key else None
    payer = Payer(caller.user.pk, key_id=key_id, attribution=attribution)
    return Asked(caller.user, model, routes, parameters, payer)
