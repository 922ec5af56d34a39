"""K12: what Django itself asks of a deployment holds with the settings that the documents tell."""

from __future__ import annotations

import secrets

import pytest

from tests.server import environment, manage

pytestmark = pytest.mark.row("K12")


@pytest.fixture
def production(tmp_path) -> dict[str, str]:
    """As `openssl rand -hex 32` fills them."""
    keys = {
        name: secrets.token_hex(32) for name in ("SECRET_KEY", "SIGNING_KEYS", "ENCRYPTION_KEYS")
    }
    public = {"PUBLIC_URL": "https://chat.example.com", "ALLOWED_HOSTS": "chat.example.com"}
    return environment(tmp_path, port=8000, PRODUCTION="true", **keys, **public)


def test_a_production_passes_without_a_warning(production):
    checked = manage("check", "--deploy", "--fail-level", "WARNING", environ=production)

    assert checked.returncode == 0, checked.stderr


def test_one_with_a_guessable_key_does_not(production):
    """That is: the check above looks."""
    weak = production | {"SECRET_KEY": "ab" * 20}

    checked = manage("check", "--deploy", "--fail-level", "WARNING", environ=weak)

    assert checked.returncode == 1
    assert "SECRET_KEY" in checked.stderr + checked.stdout
