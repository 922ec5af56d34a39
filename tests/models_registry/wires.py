"""What the scripted server speaks, by protocol: modules with the same functions.

`answer`, `tool_call`, `hanging`, `refusal`, `echo`, `model_list`.
"""

from uuid import uuid4

from models_registry.providers.base import Endpoint
from models_registry.providers.vendors import VENDORS
from tests.models_registry import anthropic_wire, dashscope_wire
from tests.models_registry import upstream as openai_wire

WIRES = {"anthropic": anthropic_wire, "dashscope": dashscope_wire, "openai": openai_wire}

KEY = "sk-test-0123456789abcdef"


def spoken_at(upstream, provider):
    """The wire that an endpoint of this vendor speaks; the server lists its models in it."""
    wire = WIRES[VENDORS[provider].protocol]
    upstream.model_list = wire.model_list
    return wire


def endpoint_at(upstream, provider, *, api_key=KEY):
    return Endpoint(
        connection_id=uuid4(),
        provider=provider,
        base_url=upstream.url,
        api_key=api_key,
        allow_private=True,
    )
