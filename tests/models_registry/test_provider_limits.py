"""What a provider may take of time and room, unless the environment says otherwise."""

import pytest

from config import limits


@pytest.mark.row("F9")
def test_the_waits():
    assert (
        limits.PROVIDER_CONNECT_SECONDS,
        limits.PROVIDER_FIRST_TOKEN_SECONDS,
        limits.PROVIDER_SILENCE_SECONDS,
        limits.TURN_SECONDS,
    ) == (10, 60, 60, 900)


@pytest.mark.row("F10")
def test_the_room():
    assert (
        limits.PROVIDER_LINE_BYTES,
        limits.PROVIDER_TEXT_BYTES,
        limits.PROVIDER_REASONING_BYTES,
        limits.PROVIDER_TOOL_CALLS,
        limits.PROVIDER_ARGUMENT_BYTES,
        limits.PROVIDER_ERROR_BYTES,
    ) == (1 << 20, 1 << 20, 1 << 20, 64, 256 << 10, 64 << 10)


@pytest.mark.row("F13", "F14")
def test_how_often_and_how_much_is_believed():
    assert (limits.PROVIDER_TRIES, limits.PROVIDER_MODELS) == (2, 3)
    assert limits.PROVIDER_RETRY_AFTER_SECONDS == 20
    assert limits.USAGE_ESTIMATE_FACTOR == 10
