"""What a model can be asked for beside text."""

from dataclasses import replace
from uuid import uuid4

import pytest

from models_registry.abilities import (
    JSON_OBJECT,
    JSON_SCHEMA,
    LOGPROBS,
    SEED,
    STOP,
    TOOLS,
    VISION,
    lacking,
)
from models_registry.providers.vendors import VENDORS
from tests.models_registry.test_cooldown import route_of


def route(provider="openai_compatible", name="echo", *abilities):
    found = route_of(uuid4(), provider=provider)
    return replace(found, upstream_name=name, capabilities=frozenset(abilities))


def test_of_a_model_that_nobody_knows_the_provider_is_the_judge():
    assert lacking(route(), [VISION, TOOLS, STOP, SEED, LOGPROBS, JSON_OBJECT]) == ""


@pytest.mark.parametrize(
    ("abilities", "name"), [((TOOLS,), "echo"), ((), "gpt-3.5-turbo")], ids=["row", "table"]
)
def test_a_known_model_can_what_is_known_of_it(abilities, name):
    assert lacking(route("openai", name, *abilities), [VISION]) == VISION


@pytest.mark.parametrize(
    ("provider", "cannot"),
    [
        ("openai", set()),
        ("openai_compatible", set()),
        ("dashscope", set()),
        ("anthropic", {SEED, LOGPROBS, JSON_OBJECT}),
        ("offline", {LOGPROBS, JSON_OBJECT, JSON_SCHEMA}),
    ],
)
def test_a_protocol_carries_what_its_vendor_has(provider, cannot):
    every = [STOP, SEED, LOGPROBS, JSON_OBJECT, JSON_SCHEMA]

    assert {each for each in every if lacking(route(provider), [each])} == cannot


def test_every_vendor_is_told_of():
    for vendor in VENDORS:
        assert lacking(route(vendor), [STOP]) == ""
