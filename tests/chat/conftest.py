"""People, models and a model that says what the test tells it to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from django.contrib.auth import get_user_model

from accounts.services.callers import Caller
from chat.models import Conversation, Turn
from chat.streams.events import Event, TurnRef
from chat.streams.hub import hub
from chat.streams.reading import read_turn
from chat.turns.in_flight import PreparedTurn
from chat.turns.runner import runner
from models_registry import cooldown
from models_registry.models import ChatModel, Connection
from models_registry.providers.base import ChatRequest, Provider, ProviderEvent, Route
from tests.waiting import until


class Gate:
    """A place in an answer where the model waits for the test, on whatever loop it runs."""

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open = False

    @property
    def reached(self) -> bool:
        return self._event is not None

    async def wait(self) -> None:
        self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()
        if self._open:
            return
        await self._event.wait()

    def open(self) -> None:
        self._open = True
        if self._loop is not None and self._event is not None:
            self._loop.call_soon_threadsafe(self._event.set)


Step = ProviderEvent | BaseException | Gate


class ScriptedModel(Provider):
    """Answers with what was enqueued, one script a request; remembers what it was asked."""

    def __init__(self) -> None:
        self.scripts: deque[tuple[Step, ...]] = deque()
        self.requests: list[tuple[Route, ChatRequest]] = []
        self.closed_early = 0
        self._route: Route | None = None

    def __call__(self, *steps: Step) -> None:
        self.scripts.append(steps)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        steps = self.scripts.popleft()
        ended = False
        try:
            for step in steps:
                if isinstance(step, Gate):
                    await step.wait()
                elif isinstance(step, BaseException):
                    raise step
                else:
                    yield step
                await asyncio.sleep(0)
            ended = True
        finally:
            self.closed_early += not ended

    async def list_models(self) -> list[str]:
        return []


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ScriptedModel:
    """`script(TextDelta("Hi"), Finished("stop"))`: what the model answers next."""
    model = ScriptedModel()

    def provider_for(route: Route) -> Provider:
        return _Recording(model, route)

    monkeypatch.setattr("chat.turns.attempts.provider_for", provider_for)
    return model


class _Recording(Provider):
    def __init__(self, model: ScriptedModel, route: Route) -> None:
        self._script, self._route = model, route

    def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        self._script.requests.append((self._route, request))
        return self._script.stream(request)

    async def list_models(self) -> list[str]:
        return []


@pytest.fixture(autouse=True)
def _no_turn_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A turn that outlives its test would write into the next one's database."""
    # Asked for here, so that the tables are emptied after the turns have ended.
    if "transactional_db" in request.fixturenames:
        request.getfixturevalue("transactional_db")
    cooldown.clear()
    yield
    for turn in list(runner.turns.values()):
        runner.stop(turn.prepared.ref.turn_id, "shutdown")
    until(lambda: not runner.turns, "every turn ended with its test")
    hub.own.clear()
    hub.followed.clear()


@pytest.fixture(scope="module", autouse=True)
def _runner_ends_with_its_module() -> Iterator[None]:
    """Its looks at the database would fail, loudly, where tests have none."""
    yield
    runner.close_from_thread()


def caller_for(user: Any) -> Caller:
    return Caller(user=user, sign_in=None)


@pytest.fixture
def alice(transactional_db: None) -> Caller:
    """Owns the conversation."""
    return caller_for(
        get_user_model().objects.create(username="alice", username_key="alice", email="a@x.example")
    )


@pytest.fixture
def charlie(transactional_db: None) -> Caller:
    """A stranger."""
    return caller_for(
        get_user_model().objects.create(username="charlie", username_key="charlie", email="c@x.ex")
    )


def make_model(name: str, **fields: Any) -> ChatModel:
    connection = Connection.objects.create(
        name=f"{name} connection", provider="openai_compatible", base_url="http://127.0.0.1:9/v1"
    )
    values = {"upstream_name": name, "everyone": True, "input_price": 2_000_000_000}
    values |= {"output_price": 6_000_000_000, "context_window": 8_192} | fields
    return ChatModel.objects.create(name=name, connection=connection, **values)


@pytest.fixture
def model(transactional_db: None) -> ChatModel:
    return make_model("echo")


@pytest.fixture
def conversation(alice: Caller, model: ChatModel) -> Conversation:
    return Conversation.objects.create(owner=alice.user, model=model.name)


@pytest.fixture
def not_launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[PreparedTurn, Event]]:
    """Turns are prepared and committed, but nobody runs them: as if another process did."""
    handed: list[tuple[PreparedTurn, Event]] = []
    monkeypatch.setattr(runner, "launch", lambda prepared, start: handed.append((prepared, start)))
    return handed


def read(ref: TurnRef, after: int = -1) -> list[dict[str, Any]]:
    """All events of a turn after a position, to its end, on a loop of the test's own."""

    async def collect() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(20), aclosing(read_turn(ref, after=after)) as batches:
            async for batch in batches:
                found += [orjson.loads(event.data) for event in batch]
        return found

    return asyncio.run(collect())


def turn_row(ref: TurnRef) -> Turn:
    return Turn.objects.get(pk=ref.turn_id)
