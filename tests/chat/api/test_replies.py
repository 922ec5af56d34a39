"""What a turn failed with, as REST tells it."""

from __future__ import annotations

import pytest

from chat.api.replies import failure
from chat.services.answers import Answer
from common import errors
from models_registry.errors import ModelUnavailable, ProviderError, ProviderTimeout


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("upstream_error", ProviderError),
        ("upstream_timeout", ProviderTimeout),
        ("model_unavailable", ModelUnavailable),
        ("rate_limited", errors.RateLimited),
        ("unavailable", errors.Unavailable),
        ("not_found", errors.NotFound),
    ],
)
def test_a_code_becomes_the_error_that_defined_it(code, kind):
    told = failure(Answer(None, None, code, "So it was."))

    assert type(told) is kind
    assert (told.as_problem()["code"], str(told)) == (code, "So it was.")


def test_a_code_that_nobody_defines_is_our_own_failure():
    assert failure(Answer(None, None, "code of a newer release", "")).status == 500
