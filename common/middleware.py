"""What every request passes, on the event loop: a sync middleware costs a thread hop."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.translation import gettext as _

from common import errors, pacing, rates, request_log, security_headers, sources
from common.addresses import client_address
from common.csrf import SameOriginCsrf
from common.languages import speak_to
from common.metrics import HttpMetrics
from common.problems import as_app_error, problem_response
from common.request_headers import request_id_of
from common.text import is_sound, is_sound_query

_API = re.compile(r"/(api|v1|ws)/|/(health|info|metrics)\b")
# Orchestrators ask these by whatever address they know; they name nothing.
_ANY_HOST = re.compile(r"/health(/live|/ready)?")
# A length here would be wrong (RFC 9110, 8.6): of nothing, or of an answer that was not sent.
_WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


class EdgeMiddleware:
    """Names the request, checks its host and path, sets its language and every security header,
    counts it and logs it in one line. It comes first.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.metrics = HttpMetrics()
        self.headers = security_headers.SecurityHeaders()
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self.answer(request)
        # Django's test client alone comes this way; there is no loop to hold an answer back on.
        refusal = self.enter(request)
        with translation.override(translation.get_language_from_request(request)):
            return self.leave(request, refusal or self.get_response(request))

    async def answer(self, request: Any) -> HttpResponseBase:
        refusal = self.enter(request)
        with translation.override(translation.get_language_from_request(request)):
            response = refusal or await self.get_response(request)
            await request.pace.keep()
            return self.leave(request, response)

    def enter(self, request: Any) -> HttpResponse | None:
        """The refusal, if this request is one that nobody should see."""
        request.request_id = request_id_of(request.META)
        request.started_at = time.perf_counter()
        request.pace = pacing.begin()
        request.counted = rates.begin()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.request_id)
        sources.asked_by(request.META)
        self.metrics.begin(request)
        self.headers.begin(request)
        query = request.META.get("QUERY_STRING", "")
        if not (is_sound(request.path_info) and is_sound_query(query)):
            return problem_response(errors.Invalid(), request)
        try:
            if not _ANY_HOST.fullmatch(request.path_info):
                request.get_host()
        except DisallowedHost:
            return problem_response(
                errors.Invalid(_("This host name is not served here (ALLOWED_HOSTS).")), request
            )
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """An expected failure of a plain view, as a problem; a bug goes on to `handler500`."""
        return problem_response(exception, request) if as_app_error(exception) else None

    def leave(self, request: Any, response: HttpResponseBase) -> HttpResponseBase:
        if isinstance(response, HttpResponseNotAllowed):
            allowed = response["Allow"]
            response = problem_response(errors.MethodNotAllowed(), request)
            response["Allow"] = allowed
        if request.method == "HEAD" and response.streaming:
            response = _headers_of(response)
        elif (
            isinstance(response, HttpResponse)
            and "Content-Length" not in response
            and response.status_code not in _WITHOUT_BODY
        ):
            response["Content-Length"] = str(len(response.content))
        response["X-Request-ID"] = request.request_id
        for name, value in rates.headers(request.counted).items():
            response[name] = value
        self.headers.add(request, response, api=is_api(request.path_info))
        self.metrics.end(request, response)
        request_log.answered(
            request.method,
            request.path_info,
            response.status_code,
            began=request.started_at,
            address=client_address(request.META),
            request_id=request.request_id,
        )
        return response


class SignedInMiddleware(AuthenticationMiddleware):
    """Django's own, which looks at once who it is: the admin is written in their language."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        speak_to(request.user)


class PagesMiddleware:
    """Sessions, CSRF, users and messages as Django makes them, for pages and the admin only.

    Each of Django's classes costs two thread hops a request; the API needs none of them.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.csrf = SameOriginCsrf(get_response)
        chain: Any = get_response
        for layer in (
            MessageMiddleware,
            SignedInMiddleware,
            SameOriginCsrf,
            SessionMiddleware,
        ):
            chain = convert_exception_to_response(layer(chain))
        self.pages = chain
        self.process_view: Any = self.check_csrf
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self.process_view = self.check_csrf_on_loop

    def __call__(self, request: HttpRequest) -> Any:
        if is_api(request.path_info):
            return self.get_response(request)
        return self.pages(request)

    def check_csrf(self, request: Any, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        if is_api(request.path_info):
            return None  # common.api's cookie authentication checks its own
        return self.csrf.process_view(request, view, args, kwargs)

    async def check_csrf_on_loop(
        self, request: Any, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        return self.check_csrf(request, view, args, kwargs)


def is_api(path: str) -> bool:
    """Does a program ask (JSON, no session middleware), or a browser that wants a page?"""
    return _API.match(path) is not None


def _headers_of(response: HttpResponseBase) -> HttpResponse:
    """The answer to HEAD: a stream's headers, and no stream that nobody reads."""
    bare = HttpResponse(status=response.status_code, headers=dict(response.items()))
    response.close()
    return bare
