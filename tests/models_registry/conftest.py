import uuid

import pytest

from models_registry.providers.base import Endpoint
from models_registry.providers.factory import close_providers
from tests.models_registry.upstream import Upstream

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def upstream():
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def endpoint(upstream):
    return Endpoint(
        connection_id=uuid.uuid4(),
        provider="openai_compatible",
        base_url=upstream.url,
        api_key=KEY,
        allow_private=True,
    )


@pytest.fixture
async def clients():
    """The clients of this test's loop are closed at its end."""
    yield
    await close_providers()
