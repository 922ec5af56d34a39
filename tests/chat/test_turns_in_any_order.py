"""Whatever is done with turns, in whatever order: one runs at a time, and all rows agree.

MADE_UP_TALKS=200 looks longer than the suite does.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID, uuid4

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chat.errors import IdempotencyConflict
from chat.models import Conversation, Message, Turn
from chat.services import books
from chat.services.conversations import delete_conversation
from chat.services.messages import delete_message, edit_message
from chat.services.stopping import request_stop
from chat.services.turn_requests import TurnStarted, regenerate, send_message
from chat.streams.events import TurnRef
from chat.turns.closing import close_turn
from chat.turns.runner import runner
from chat.turns.unsettled import settle_holds
from common import rates
from common.errors import AppError, Conflict, Invalid, NotFound, Unavailable
from models_registry import cooldown
from models_registry.errors import ProviderCut, ProviderRefused
from models_registry.providers.base import Finished, TextDelta
from quotas.models import Hold
from tests.chat.conftest import read
from tests.events import text_of
from tests.waiting import until

TALKS = int(os.environ.get("MADE_UP_TALKS", "8"))
WHICH = st.integers(0, 99)
# What a provider does, and how the turn ends by it.
ANSWERS: dict[str, tuple[Any, ...]] = {
    "complete": (TextDelta("Hel"), TextDelta("lo"), Finished("stop")),
    "interrupted": (TextDelta("Hel"), ProviderCut()),
    "failed": (ProviderRefused(),),
}


class Talking(RuleBasedStateMachine):
    """One person, two conversations. `handed` are turns that nobody has run yet, also those whose
    end somebody else wrote; `running` those that the rows must know as running."""

    alice: Any
    script: Any
    handed: dict[UUID, Any]
    run: Any

    @initialize()
    def begin(self) -> None:
        rates.forget_everything()
        cooldown.clear()
        self.conversations = [
            Conversation.objects.create(owner=self.alice.user, model="echo").pk for _ in range(2)
        ]
        self.handed.clear()
        self.running: dict[UUID, TurnRef] = {}
        self.messages: list[UUID] = []
        self.ended: list[TurnRef] = []
        self.keyed: dict[str, tuple[UUID, TurnRef]] = {}
        self.example = uuid4().hex  # what another example remembered is none of ours

    def teardown(self) -> None:
        for ref in list(self.running.values()):
            self._close(ref, "interrupted")

    # -- turns begin ------------------------------------------------------------------------
    @rule(which=WHICH, parent=st.none() | WHICH, key=st.sampled_from(["", "a", "b"]))
    def send(self, which: int, parent: int | None, key: str) -> None:
        conversation = self.conversations[which % 2]
        place = {} if parent is None or not self.messages else {"parent_id": self._one(parent)}
        key = key and f"{key} {self.example}"
        is_new = key not in self.keyed
        try:
            started = send_message(
                self.alice, conversation, content="Hi", idempotency_key=key, **place
            )
        except AppError as refusal:
            self._check_refusal(refusal, conversation, place, is_new=is_new)
            return
        if key and not is_new:
            assert started.joined
            assert self.keyed[key] == (conversation, started.ref)
            return
        self._began(started, conversation)
        if key:
            self.keyed[key] = (conversation, started.ref)

    def _check_refusal(
        self, refusal: AppError, conversation: UUID, place: dict[str, Any], *, is_new: bool
    ) -> None:
        if isinstance(refusal, Conflict):
            assert conversation in self.running
        elif isinstance(refusal, IdempotencyConflict):
            assert not is_new
        elif isinstance(refusal, Invalid | NotFound):
            # The parent is elsewhere or gone; the conversation or the answer is gone.
            is_here = Conversation.objects.filter(pk=conversation).exists()
            assert place or not is_new or not is_here
        else:
            raise refusal

    @precondition(lambda self: self.messages)
    @rule(which=WHICH)
    def regenerate(self, which: int) -> None:
        message = self._one(which)
        place = Message.objects.filter(pk=message).values_list("conversation_id", "role").first()
        try:
            started = regenerate(self.alice, message)
        except Conflict:
            assert place[0] in self.running
        except NotFound:
            assert place is None
        except Invalid:
            assert place[1] == "user"
        else:
            self._began(started, place[0])

    def _began(self, started: TurnStarted, conversation: UUID) -> None:
        assert conversation not in self.running
        assert not started.joined
        self.running[conversation] = started.ref
        answer = Message.objects.get(pk=started.ref.message_id)
        assert answer.parent_id is not None
        self.messages += [
            each for each in (answer.parent_id, answer.pk) if each not in self.messages
        ]

    # -- turns end --------------------------------------------------------------------------
    @precondition(lambda self: self.running)
    @rule(which=WHICH, end=st.sampled_from(sorted(ANSWERS)))
    def finish(self, which: int, end: str) -> None:
        ref = self._running(which)
        self._run(ref.turn_id, *ANSWERS[end])
        self._over(ref, end)

    @precondition(lambda self: self.handed)
    @rule(which=WHICH)
    def come_late(self, which: int) -> None:
        """An owner that was away too long, and whose turn another has ended meanwhile."""
        running = {ref.turn_id for ref in self.running.values()}
        late = [turn for turn in self.handed if turn not in running]
        if late:
            turn_id = late[which % len(late)]
            before = Turn.objects.filter(pk=turn_id).values().first()
            self._run(turn_id, *ANSWERS["complete"])
            assert Turn.objects.filter(pk=turn_id).values().first() == before

    def _run(self, turn_id: UUID, *steps: Any) -> None:
        cooldown.clear()
        self.script.scripts.clear()
        self.script(*steps)
        self.run(*self.handed.pop(turn_id))
        until(lambda: turn_id not in runner.turns, "the turn ended")

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def stop(self, which: int) -> None:
        ref = self._running(which)
        assert request_stop(self.alice, ref.message_id) is not None
        self._close(ref, "stopped")

    @precondition(lambda self: self.running)
    @rule(which=WHICH)
    def die(self, which: int) -> None:
        self._close(self._running(which), "interrupted")

    def _close(self, ref: TurnRef, status: str) -> None:
        error = Unavailable() if status == "interrupted" else None
        close = close_turn(ref.turn_id, status=status, error=error)
        assert runner.wait_for(close)
        self._over(ref, status)
        assert not runner.wait_for(close_turn(ref.turn_id, status="stopped"))

    def _over(self, ref: TurnRef, status: str) -> None:
        del self.running[ref.conversation_id]
        self.ended.append(ref)
        turn, message = Turn.objects.get(pk=ref.turn_id), Message.objects.get(pk=ref.message_id)
        assert turn.status == message.status == status
        assert Hold.objects.get(turn_id=ref.turn_id).status == Hold.Status.SETTLED

    # -- what people do meanwhile -----------------------------------------------------------------
    @precondition(lambda self: self.messages)
    @rule(which=WHICH)
    def edit(self, which: int) -> None:
        message = self._one(which)
        try:
            edit_message(self.alice, message, "Better")
        except Conflict:
            assert message in {ref.message_id for ref in self.running.values()}
        except NotFound:
            assert not Message.objects.filter(pk=message).exists()

    @precondition(lambda self: self.messages)
    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        message = self._one(which)
        try:
            delete_message(self.alice, message)
        except NotFound:
            assert not Message.objects.filter(pk=message).exists()
        self._forget_what_is_gone()

    @rule(which=st.integers(0, 20))
    def delete_conversation(self, which: int) -> None:
        if which < 2:  # seldom
            try:
                delete_conversation(self.alice, self.conversations[which])
            except NotFound:
                assert not Conversation.objects.filter(pk=self.conversations[which]).exists()
            self._forget_what_is_gone()
            self.conversations[which] = Conversation.objects.create(
                owner=self.alice.user, model="echo"
            ).pk

    def _forget_what_is_gone(self) -> None:
        there = set(Message.objects.values_list("pk", flat=True))
        for conversation, ref in list(self.running.items()):
            if ref.message_id not in there:
                del self.running[conversation]
                assert Turn.objects.get(pk=ref.turn_id).status == "stopped"
        self.ended = [ref for ref in self.ended if ref.message_id in there]

    @precondition(lambda self: self.ended)
    @rule(which=WHICH)
    def resume(self, which: int) -> None:
        ref = self.ended[which % len(self.ended)]
        events = read(ref)
        message = Message.objects.get(pk=ref.message_id)

        assert events[-1]["type"] in {"chat_complete", "chat_error"}
        if message.edited_at is None and events[-1]["type"] == "chat_complete":
            assert text_of(events) == events[-1]["message"]["content"] == message.content

    @rule()
    def sweep(self) -> None:
        assert settle_holds() == 0

    # -- what always holds ----------------------------------------------------------------------
    @invariant()
    def the_rows_agree(self) -> None:
        assert list(books.differences()) == []

    @invariant()
    def one_turn_runs_in_a_conversation(self) -> None:
        running = Turn.objects.running().values_list("conversation_id", "id")
        assert len(running) == len(self.running)
        assert dict(running) == {each: ref.turn_id for each, ref in self.running.items()}
        open_holds = Hold.objects.filter(status=Hold.Status.OPEN).values_list("turn_id", flat=True)
        assert set(open_holds) == {ref.turn_id for ref in self.running.values()}

    @invariant()
    def the_transcript_is_a_tree_in_order(self) -> None:
        for conversation in Conversation.objects.filter(pk__in=self.conversations):
            fields = ("id", "parent_id", "position", "role")
            rows: Any = conversation.messages.values_list(*fields)
            places = {key: (position, role) for key, _parent, position, role in rows}
            assert conversation.message_count == len(rows)
            assert len({position for position, _role in places.values()}) == len(rows)
            for key, parent, position, role in rows:
                assert position <= conversation.last_position
                assert parent is None or places[parent][0] < position, key
                assert role == "user" or places[parent][1] == "user"

    def _running(self, which: int) -> TurnRef:
        found = list(self.running.values())
        return found[which % len(found)]

    def _one(self, which: int) -> UUID:
        return self.messages[which % len(self.messages)]


@pytest.mark.row("T4", "T8")
def test_the_rows_agree_whatever_is_done_with_turns(alice, model, script, settings, monkeypatch):
    settings.HOLD_SWEEP_SECONDS = 0
    run = runner.launch
    handed: dict[UUID, Any] = {}
    monkeypatch.setattr(
        runner,
        "launch",
        lambda prepared, start: handed.update({prepared.ref.turn_id: (prepared, start)}),
    )
    values = {"alice": alice, "script": script, "handed": handed, "run": run}

    run_state_machine_as_test(
        type("TalkingAlice", (Talking,), values),
        settings=hypothesis.settings(
            max_examples=TALKS,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
