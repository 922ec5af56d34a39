"""An answer over OpenAI's wire, and the forms that servers give it."""

import pytest

from models_registry.providers.base import Finished, Usage
from tests.models_registry.asking import ask, finished, text
from tests.models_registry.upstream import answer

pytestmark = pytest.mark.usefixtures("clients")


async def test_a_plain_answer(upstream, endpoint):
    upstream.script(answer("Hel", "lo", prompt=9, completion=2))

    events = await ask(endpoint)

    assert text(events) == "Hello"
    assert finished(events) == Finished("stop", Usage(9, 2))
