import pytest

from tests.chat.api.rest import Rest
from tests.chat.serving import serving, stranger, token

__all__ = ["serving", "stranger", "token"]


@pytest.fixture
def rest(token: str) -> Rest:
    return Rest(token)
