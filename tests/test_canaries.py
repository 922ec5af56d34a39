"""G1: the scan over the logs of all tests knows a secret when it sees one."""

from __future__ import annotations

import pytest

from tests import canaries

pytestmark = pytest.mark.row("G1")


@pytest.mark.parametrize(
    "line",
    [
        "Password: Correct horse battery",
        "the model was told 'a canary of a text'",
        "key parley-" + "Canary" * 8,
        "Connection failed: sk-e2e-canary-8d1f0c2b7a",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "Sec-WebSocket-Protocol: parley.v1, bearer.eyJhbGciOiJIUzI1NiJ9",
        "user alice@example.org signed in",
        "Cookie: sessionid=abcdef",
    ],
)
def test_a_secret_is_found(line):
    assert canaries.found_in(f"a good line\n{line}\nanother") == [line]
    with pytest.raises(AssertionError, match="a secret stands in the log"):
        canaries.refuse(line)


def test_what_is_no_secret_is_not():
    lines = "GET /api/v1/api-keys 200\nmodel=canary parley-… sk-…\npostgres://postgres@127.0.0.1"

    assert canaries.found_in(lines) == []
    canaries.refuse(lines)


def test_a_test_that_logs_one_fails(request):
    """As the hook sees it: what pytest kept of a test's log and stderr."""
    sections = [("Captured stdout call", "parley-" + "a" * 49), ("Captured log call", "Horse")]
    logged = canaries._logged(sections, but="nothing")  # noqa: SLF001 the half of the hook

    assert logged == "Horse"
    assert request.config.pluginmanager.is_registered(canaries)
