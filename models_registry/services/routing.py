"""From a name to what a turn needs to speak with it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from constance import config
from django.conf import settings
from django.db.models import F, Q
from django.utils.translation import gettext as _

from common import runtime_settings
from common.changeable import Value
from common.crypto import Undecryptable
from common.errors import Invalid, NotFound
from common.statements import SelectWith
from common.text import excerpt
from models_registry.errors import ModelNotAllowed, ModelUnavailable
from models_registry.models import ChatModel
from models_registry.providers.base import Prices, Route
from models_registry.services.endpoints import endpoint_of
from models_registry.tokens import encoding_for

if TYPE_CHECKING:
    from accounts.models import User


_named = SelectWith(
    ChatModel,
    "connection",
    "user",
    "name",
    build=lambda user, name: (
        ChatModel.objects.open_to_id(user)
        .filter(name=name)
        # Of two the caller's own wins.
        .order_by(F("owner").asc(nulls_last=True))
    ),
)


def no_such_model(name: str) -> NotFound:
    """The refusal of a name that is nobody's, or not the caller's to use: the same for both."""
    sentence = _("There is no model %(name)s that you may use.") % {"name": excerpt(name)}
    return NotFound(sentence, errors={"model": [sentence]})


def resolve_model(user: User, name: str | None, *, only: Collection[str] = ()) -> ChatModel:
    """The model `user` means by `name`; None is the default one.

    `only` are the names that an API key is bound to, if it is. NotFound for a name that is not
    the user's to use, ModelNotAllowed for one that is and not the key's, ModelUnavailable when it
    is switched off.
    """
    if name is None:
        return _default_model(user, only)
    model = _of_name(user, name)
    if model is None:
        raise no_such_model(name)
    if only and name not in only:
        raise ModelNotAllowed
    if not (model.enabled and model.connection.enabled):
        raise ModelUnavailable()
    return model


def _of_name(user: User, name: str) -> ChatModel | None:
    return _named.first(user=user.pk, name=name)


@runtime_settings.checked_by("default_model")
def check_default_model(name: Value) -> None:
    """Raise Invalid unless a system model has this name and is switched on."""
    _check_system_model("default_model", name)


@runtime_settings.checked_by("title_model")
def check_title_model(name: Value) -> None:
    """The same."""
    _check_system_model("title_model", name)


def _check_system_model(setting: str, name: Value) -> None:
    if name and system_model(str(name)) is None:
        raise Invalid.field(setting, _("No system model of this name is switched on."))


def _default_model(user: User, only: Collection[str]) -> ChatModel:
    """The configured one; else the first usable; `offline` only where there is no other."""
    if config.default_model and (not only or config.default_model in only):
        model = _of_name(user, config.default_model)
        if model is not None and model.enabled and model.connection.enabled:
            return model
    usable = ChatModel.objects.usable_by(user).named(only).select_related("connection")
    built_in = Q(connection__provider="offline")
    model = usable.exclude(built_in).order_by("id").first() or usable.filter(built_in).first()
    if model is None:
        raise ModelNotAllowed() if only else ModelUnavailable()
    return model


def system_model(name: str) -> ChatModel | None:
    """The deployment's model of this name, whoever may use it; None when it is switched off."""
    models = ChatModel.objects.enabled().select_related("connection")
    return models.filter(owner=None, name=name).first()


def routes_for(model: ChatModel, user: User, *, only: Collection[str] = ()) -> list[Route]:
    """`model`, then its fallbacks that `user` may use, and are among `only` if there are any: at
    most PROVIDER_MODELS.

    ModelUnavailable if the key of `model` cannot be decrypted; such a fallback is left out.
    """
    try:
        routes = [_route(model, user)]
    except Undecryptable as exc:
        raise ModelUnavailable() from exc
    for fallback in _fallbacks(model, user, only):
        if len(routes) == settings.PROVIDER_MODELS:
            break
        try:
            routes.append(_route(fallback, user))
        except Undecryptable:
            continue
    return routes


def _fallbacks(model: ChatModel, user: User, only: Collection[str]) -> list[ChatModel]:
    if not model.fallbacks:
        return []
    usable = ChatModel.objects.open_to(user).enabled().named(only).select_related("connection")
    found = usable.in_bulk([UUID(each) for each in model.fallbacks])
    return [found[UUID(each)] for each in model.fallbacks if UUID(each) in found]


def _route(model: ChatModel, user: User) -> Route:
    price = model.price
    return Route(
        model_id=model.id,
        name=model.name,
        endpoint=endpoint_of(model.connection, user),
        upstream_name=model.upstream_name,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        encoding=encoding_for(model.upstream_name),
        prices=Prices(price.input_price, price.output_price, price.cached_input),
        capabilities=frozenset(model.capabilities),
        owner_id=model.owner_id,
    )
