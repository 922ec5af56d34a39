"""How a model can fail to answer. Providers raise nothing else."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from common.errors import AppError, PermissionDenied


class ModelUnavailable(AppError):
    """The model is disabled, cooling down, or its key cannot be decrypted."""

    code = "model_unavailable"
    status = 503
    title = _("This model is not available at the moment.")


class ModelNotAllowed(PermissionDenied):
    """The owner of an API key may use the model, and the key may not."""

    code = "model_not_allowed"
    title = _("This API key may not use this model.")


class ProviderError(AppError):
    """The provider did not give an answer.

    `retryable`: another try, or another model, may succeed. `upstream_status` is the provider's
    HTTP status, None without one. `retry_after` is the provider's wish in seconds. `detail` never
    holds anything the provider wrote.
    """

    code = "upstream_error"
    status = 502
    title = _("The model's provider failed.")
    retryable = False

    def __init__(
        self,
        detail: Any = "",
        *,
        upstream_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, retry_after=retry_after)
        self.upstream_status = upstream_status


class ProviderUnreachable(ProviderError):
    """No connection: refused, no such name, bad certificate, or an address the guard closed."""

    title = _("The model's provider cannot be reached.")
    retryable = True


class ProviderRefused(ProviderError):
    """The provider understood and said no: key, right, model or parameters."""

    title = _("The model's provider refused the request.")


class ParameterRefused(ProviderRefused):
    """The model does not take a parameter that its caller cannot do without."""

    code = "parameter_refused"
    status = 400
    title = _("The model does not take a parameter of this request.")


class PromptTooLong(ProviderRefused):
    """The prompt is longer than the model's window, as its provider counts."""

    code = "prompt_too_long"
    status = 400
    title = _("This is longer than the model can read.")


class ProviderBusy(ProviderError):
    """The provider's own rate limit or quota."""

    title = _("The model's provider is busy.")
    retryable = True


class ProviderFailed(ProviderError):
    """The provider reported a failure of its own, with a 5xx or as an event in the stream."""

    title = _("The model's provider reported an error.")
    retryable = True


class ProviderCut(ProviderError):
    """The connection ended in the middle of the answer."""

    title = _("The connection to the model's provider broke.")
    retryable = True


class ProviderTimeout(ProviderError):
    code = "upstream_timeout"
    status = 504
    title = _("The model's provider took too long.")
    retryable = True


class ProviderOverflow(ProviderError):
    """The provider sent more than any answer may hold."""

    title = _("The model's answer is too large.")


class ProviderGarbled(ProviderError):
    """What came is not the protocol."""

    title = _("The model's provider sent something that is not understood.")
