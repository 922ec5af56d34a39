"""Bases of every REST view."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback
from rest_framework.viewsets import GenericViewSet

from common import errors, rates
from common.addresses import address_key, client_address
from common.api import query
from common.api.renderers import JSONRenderer
from common.api.scopes import NO_KEY
from common.languages import speak_to
from common.problems import as_app_error, problem_response

logger = logging.getLogger(__name__)

_BODY_METHODS = frozenset({"PUT", "PATCH"})


def exception_handler(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    """Every failure of a view, as a problem. A bug is logged here, once, and shown to nobody."""
    set_rollback()
    request: Request = context["request"]
    if as_app_error(exc) is None:
        logger.error(
            "A bug of Parley's ended a %s with 500. Please report what follows.",
            request.method,
            exc_info=exc,
        )
    return problem_response(exc, request._request)  # noqa: SLF001 DRF's name for it


class ApiMixin:
    """What our two bases share.

    `needs_body`: methods other than PUT, PATCH and `create` that take an object, so that a
    request without any body is `invalid` and not an empty object. `key_scopes`: which API keys
    get through; none, unless a view says so.
    """

    needs_body = False
    key_scopes = NO_KEY

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        # Django and DRF put methods of the view on the view: circles, which would outlive it (R7).
        for name in self.http_method_names:  # type: ignore[attr-defined]
            vars(self).pop(name, None)
        return response

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)  # type: ignore[misc]
        speak_to(request.user)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        try:
            super().initial(request, *args, **kwargs)  # type: ignore[misc]
        except errors.AppError as refusal:
            if refusal.status == errors.Unauthenticated.status:
                _count(request, user=None)
            raise
        self.check_scopes(request)
        # Who calls is known by now, and with them the language of what follows.
        query.refuse_unknown(request, known=self.list_parameters())
        _check_encoding(request)
        # A method that the view does not have is 405, whatever its body.
        method = str(request.method)
        if method in SAFE_METHODS or not hasattr(self, method.lower()):
            return
        if self.takes_body(request):
            _check_body(request)

    def list_parameters(self) -> set[str]:
        """Which of `ordering` and `cursor` this view reads: by `get_ordering`, by its pages."""
        known = {"ordering"} if hasattr(self, "get_ordering") else set()
        return known | {"cursor"} if getattr(self, "action", "") == "list" else known

    def takes_body(self, request: Request) -> bool:
        return (
            self.needs_body
            or request.method in _BODY_METHODS
            or getattr(self, "action", "") == "create"
        )

    def check_scopes(self, request: Request) -> None:
        """Raise PermissionDenied for an API key whose scopes do not reach this; a method that
        nobody has here is for whoever gets through with another one to hear of as such."""
        scopes = getattr(request.auth, "scopes", None)
        if scopes is None or not self.key_scopes.of(request.method).isdisjoint(scopes):
            return
        exists = hasattr(self, str(request.method).lower())
        if exists or self.key_scopes.any.isdisjoint(scopes):
            raise errors.PermissionDenied(_("This API key has no scope for that."))

    def check_throttles(self, request: Request) -> None:
        _count(request, user=request.user if request.user.is_authenticated else None)

    def permission_denied(
        self, request: Request, message: str | None = None, code: str | None = None
    ) -> NoReturn:
        if not request.user.is_authenticated:
            raise errors.Unauthenticated
        raise errors.PermissionDenied(message or "")

    def http_method_not_allowed(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:
        raise errors.MethodNotAllowed

    def finalize_response(
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """A DRF Response as plain bytes: rendering it later would cost a thread hop of its own."""
        final = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        _open_circle(request)
        if not isinstance(final, Response):
            return final  # type: ignore[no-any-return]
        # Whatever was asked for: a stream is made by its view, all else is JSON.
        final.content_type = JSONRenderer.media_type
        final.render()
        plain = HttpResponse(final.content, status=final.status_code, headers=dict(final.items()))
        plain.cookies = final.cookies
        vars(final).pop("renderer_context", None)  # a circle, too: it holds the response
        return plain


class ApiView(ApiMixin, APIView):  # type: ignore[misc]  # the mixin's hooks are narrower
    """A view of one address. Answers leave it rendered, failures as problems."""


class ApiViewSet(ApiMixin, GenericViewSet):  # type: ignore[misc, type-arg]
    """A set of views over one kind of object."""


def _count(request: Request, *, user: Any) -> None:
    if user is None:
        rates.hit("api_anonymous", address_key(client_address(request.META)))
    else:
        rates.hit("api_user", str(user.pk))
        if key := getattr(request.auth, "key", None):
            rates.hit("api_key", str(key.pk))


def _open_circle(request: Request) -> None:
    """DRF's request holds what its parsers are told, and that holds the request and its view: what
    somebody sent would stay in memory until a collection of garbage (R7)."""
    for name in ("request", "view"):
        request.parser_context.pop(name, None)


def _check_encoding(request: Request) -> None:
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() not in {"", "identity"}:
        raise errors.UnsupportedMediaType


def _check_body(request: Request) -> None:
    """Raises Invalid when an object is due and none came."""
    if not isinstance(request.data, dict) or not request.META.get("CONTENT_LENGTH", "0").strip("0"):
        raise errors.Invalid(_("Send a JSON object."))
