"""F16: a model that keeps failing rests, and one probe brings it back."""

import threading
from dataclasses import replace
from uuid import uuid4

import pytest

from models_registry import cooldown
from models_registry.providers.base import Endpoint, Prices, Route
from models_registry.services.connections import change_connection, create_connection
from models_registry.services.models import create_model
from models_registry.services.routing import resolve_model, routes_for
from tests.models_registry.conftest import KEY

pytestmark = pytest.mark.row("F16")


@pytest.fixture
def clock(monkeypatch, settings):
    settings.PROVIDER_COOLDOWN_FAILURES, settings.PROVIDER_COOLDOWN_SECONDS = 3, 30
    cooldown.clear()

    class Clock:
        now = 1_000.0

    monkeypatch.setattr("models_registry.cooldown.time.monotonic", lambda: Clock.now)
    yield Clock
    cooldown.clear()


def route_of(model_id, **fields):
    endpoint = Endpoint(uuid4(), "openai_compatible", "https://x.example", KEY, allow_private=False)
    return Route(
        model_id=model_id,
        name="echo",
        endpoint=replace(endpoint, **fields),
        upstream_name="echo",
        context_window=None,
        max_output_tokens=None,
        encoding="o200k_base",
        prices=Prices(),
        capabilities=frozenset(),
        owner_id=None,
    )


@pytest.fixture
def model(clock):
    return route_of(uuid4())


def fail(model, times=3):
    for _ in range(times):
        cooldown.failed(model)


def test_a_few_failures_are_forgiven(model):
    fail(model, times=2)

    assert cooldown.admit(model)


def test_after_more_it_rests(model, clock):
    fail(model)

    assert not cooldown.admit(model)
    clock.now += 29
    assert not cooldown.admit(model)


def test_others_are_not_touched(model):
    fail(model)

    assert cooldown.admit(route_of(uuid4()))


def test_of_fifty_waiting_turns_one_goes_first(model, clock):
    fail(model)
    clock.now += 30
    barrier = threading.Barrier(50)
    admitted = []

    def ask():
        barrier.wait()
        admitted.append(cooldown.admit(model))

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert admitted.count(True) == 1


def test_a_good_probe_opens_the_door(model, clock):
    fail(model)
    clock.now += 30
    assert cooldown.admit(model)

    cooldown.succeeded(model)

    assert all(cooldown.admit(model) for _ in range(5))


def test_a_bad_probe_means_another_rest(model, clock):
    fail(model)
    clock.now += 30
    assert cooldown.admit(model)

    cooldown.failed(model)

    assert not cooldown.admit(model)
    clock.now += 30
    assert cooldown.admit(model)


def test_a_probe_that_was_stopped_lets_the_next_one_try(model, clock):
    fail(model)
    clock.now += 30
    assert cooldown.admit(model)

    cooldown.released(model)

    assert cooldown.admit(model)


def test_a_probe_that_never_reports_is_replaced(model, clock):
    fail(model)
    clock.now += 30
    assert cooldown.admit(model)

    clock.now += 30

    assert cooldown.admit(model)
    assert not cooldown.admit(model)


def test_success_in_between_starts_the_count_anew(model):
    fail(model, times=2)
    cooldown.succeeded(model)
    fail(model, times=2)

    assert cooldown.admit(model)


def test_releasing_what_never_failed_is_no_harm(model):
    cooldown.released(model)

    assert cooldown.admit(model)


def test_a_changed_connection_ends_the_rest_in_every_process(clock, mina):
    """Nobody is told: each process compares the endpoint of its next turn."""
    connection = create_connection(
        mina,
        scope="personal",
        provider="openai",
        name="mine",
        api_key=KEY,
        resolve=False,
    )
    create_model(mina, scope="personal", connection_id=connection.pk, name="echo")
    old = route(mina)
    fail(old)
    assert not cooldown.admit(route(mina))

    change_connection(connection, actor=mina, changes={"api_key": KEY[::-1]}, resolve=False)

    assert cooldown.admit(route(mina))
    cooldown.succeeded(route(mina))
    assert not cooldown.admit(old), "what failed was the old key"


def route(user):
    return routes_for(resolve_model(user, "echo"), user)[0]
