"""The one map from what HTTP clients and providers report to our `ProviderError`s.

Raw bytes through the openai client raise its own errors, httpx2's and aiohttp's, one as the cause
of the other; the outer ones call a refused port a timeout.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx2
import openai
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.outbound import ForbiddenAddress
from common.text import without_secrets
from models_registry import errors
from models_registry.providers.base import Endpoint

logger = logging.getLogger(__name__)

_MACHINE_WORD = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_ERROR_STATUSES = range(400, 600)
_REFUSALS = {
    401: _("The provider does not accept the key of this connection."),
    402: _("The provider asks for payment."),
    403: _("The provider does not allow this with the key of this connection."),
    404: _("The provider does not know this model, or the address of the connection is wrong."),
}

# What vendors call the failures that they report inside a 200, up to the first dot.
_WORDS = {
    # OpenAI, Anthropic
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
    # DashScope
    "InvalidParameter": 400,
    "BadRequest": 400,
    "DataInspectionFailed": 400,
    "InvalidApiKey": 401,
    "Arrearage": 402,
    "AccessDenied": 403,
    "ModelNotFound": 404,
    "Model": 404,
    "Throttling": 429,
}

# The first line that fits anything in the chain of causes decides.
_KINDS: tuple[tuple[tuple[type[BaseException], ...], type[errors.ProviderError]], ...] = (
    (
        (
            ForbiddenAddress,
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            httpx2.ConnectError,
            httpx2.PoolTimeout,
        ),
        errors.ProviderUnreachable,
    ),
    (
        (aiohttp.SocketTimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout, TimeoutError),
        errors.ProviderTimeout,
    ),
    (
        (
            aiohttp.ClientConnectionError,
            aiohttp.ClientPayloadError,
            httpx2.NetworkError,
            httpx2.RemoteProtocolError,
        ),
        errors.ProviderCut,
    ),
    (
        (
            aiohttp.ClientError,
            httpx2.HTTPError,
            httpx2.InvalidURL,
            openai.APIResponseValidationError,
        ),
        errors.ProviderGarbled,
    ),
    ((openai.APIConnectionError,), errors.ProviderUnreachable),
)


@contextmanager
def mapped_errors(endpoint: Endpoint) -> Iterator[None]:
    """Whatever is raised inside leaves as a ProviderError, or is a bug."""
    try:
        yield
    except errors.ProviderError:
        raise
    except Exception as exc:
        error = as_provider_error(exc)
        if error is None:
            raise
        text = describe(exc, secret=endpoint.api_key)
        logger.info("Connection %s failed: %s", endpoint.connection_id, text)
        raise error from exc


def as_provider_error(exc: BaseException) -> errors.ProviderError | None:
    """`exc` as one of ours, or None when it is a bug."""
    chain = _chain(exc)
    for each in chain:
        if isinstance(each, errors.ProviderError):
            return each
        if (status := _status_of(each)) is not None:
            return by_status(*status)
    for kinds, error in _KINDS:
        if any(isinstance(each, kinds) for each in chain):
            return error()
    return None


def by_status(status: int, headers: Mapping[str, str] | None = None) -> errors.ProviderError:
    """The error that an HTTP status other than 2xx stands for."""
    retry_after = parse_retry_after(headers or {})
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return errors.ProviderBusy(upstream_status=status, retry_after=retry_after)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return errors.ProviderFailed(upstream_status=status, retry_after=retry_after)
    if status >= HTTPStatus.BAD_REQUEST:
        return errors.ProviderRefused(_REFUSALS.get(status, ""), upstream_status=status)
    return errors.ProviderGarbled(upstream_status=status)


def reported_error(error: Any) -> errors.ProviderError:
    """The error that came inside a 200: `{"code": …, "type": …, "message": …}`."""
    words = [error.get(name) for name in ("status", "code", "type")] if _is_dict(error) else []
    for word in words:
        if (status := _as_status(word)) is not None:
            return by_status(status)
    return errors.ProviderFailed()


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as `retry-after-ms`, seconds or an HTTP date says; never negative."""
    for name, divisor in (("retry-after-ms", 1_000), ("retry-after", 1)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / divisor
        except ValueError:
            seconds = _until(value)
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def describe(exc: BaseException, *, secret: str = "") -> str:
    """A line for the log: kinds of errors and machine words, nothing that a provider wrote (K10).

    Vendors echo keys and prompts; exception texts carry URLs.
    """
    chain = _chain(exc)
    parts = [type(each).__name__ for each in chain]
    for each in chain:
        if (status := _status_of(each)) is not None:
            word = getattr(each, "code", None) or getattr(each, "type", None)
            parts += [str(status[0]), *_machine_word(word, secret=secret)]
        elif isinstance(each, OSError) and each.errno:
            parts.append(f"errno {each.errno}")
    return " ".join(parts)


def log_refusal(endpoint: Endpoint, error: errors.ProviderError, word: Any) -> None:
    """The line of `describe` for a refusal that was no exception of a client's."""
    parts = [type(error).__name__, str(error.upstream_status)]
    parts += _machine_word(word, secret=endpoint.api_key)
    logger.info("Connection %s failed: %s", endpoint.connection_id, " ".join(parts))


def _machine_word(word: Any, *, secret: str) -> list[str]:
    """`word` if a program wrote it and it holds no key."""
    if not isinstance(word, str) or not _MACHINE_WORD.fullmatch(word):
        return []
    return [] if secret and secret in word else [without_secrets(word)]


def _status_of(exc: BaseException) -> tuple[int, Mapping[str, str]] | None:
    """Status and headers of what each vendor's client calls APIStatusError.

    Known by its form: importing a client that nobody uses would cost seconds.
    """
    status, response = getattr(exc, "status_code", None), getattr(exc, "response", None)
    if type(status) is int and isinstance(response, httpx2.Response):
        return status, response.headers
    return None


def _chain(exc: BaseException) -> list[BaseException]:
    """`exc` and what caused it, the outermost first."""
    chain = [exc]
    while True:
        last = chain[-1]
        cause = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if cause is None or cause in chain:
            return chain
        chain.append(cause)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _as_status(word: Any) -> int | None:
    if isinstance(word, str):
        known = _WORDS.get(word.partition(".")[0])
        return int(word) if re.fullmatch(r"[45]\d\d", word) else known
    return word if type(word) is int and word in _ERROR_STATUSES else None


def _until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
        if timezone.is_naive(moment):
            return math.nan
        return (moment - timezone.now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return math.nan
