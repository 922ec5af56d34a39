"""Checkpoints: text and number together, once a second, and what the rows say in return."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from chat.models import Message, Turn
from chat.services.turn_requests import chat_once, send_message
from chat.turns.checkpoints import Checkpoint, Report, save_checkpoints
from chat.turns.closing import close_turn
from chat.turns.runner import runner
from models_registry.providers.base import Finished, ReasoningDelta, TextDelta
from tests.chat.conftest import Gate, read, turn_row
from tests.chat.threads import all_at_once
from tests.waiting import until


@pytest.fixture
def turns(alice, conversation, model, not_launched):
    """The ids of three turns that nobody runs."""
    first = send_message(alice, conversation.id, content="Hi").ref
    others = [chat_once(alice, messages=[{"role": "user", "content": "Hi"}]).ref for _ in range(2)]
    return [each.turn_id for each in (first, *others)]


def rows(ids):
    found = Turn.objects.in_bulk(ids)
    return [(found[each].text, found[each].last_seq, found[each].beat) for each in ids]


def test_text_and_number_are_saved_together_with_a_beat(turns):
    report = save_checkpoints(
        [
            Checkpoint(turns[0], 3, "one two", "why", 10),
            Checkpoint(turns[1], 9, "日本語", "", 3),
            Checkpoint(turns[2], 5, None),
        ]
    )

    assert rows(turns) == [("one two", 3, 1), ("日本語", 9, 1), ("", 0, 1)]
    first = Turn.objects.get(pk=turns[0])
    assert (first.reasoning, first.characters) == ("why", 10)
    assert (report.ended, report.stops) == (set(), {})


def test_a_beat_moves_though_nothing_was_said(turns):
    for _ in range(3):
        save_checkpoints([Checkpoint(turns[0], 0, None)])

    assert turn_row_of(turns[0]).beat == 3


def turn_row_of(turn_id):
    return Turn.objects.get(pk=turn_id)


def test_turns_that_ended_or_are_gone_are_reported_and_not_touched(turns):
    Turn.objects.filter(pk=turns[0]).update(status="stopped", text="kept")
    Turn.objects.filter(pk=turns[1]).delete()

    report = save_checkpoints([Checkpoint(each, 5, "late", "", 4) for each in turns])

    assert report.ended == {turns[0], turns[1]}
    ended = turn_row_of(turns[0])
    assert (ended.text, ended.last_seq, ended.beat) == ("kept", 0, 0)
    assert turn_row_of(turns[2]).text == "late"


def test_a_stop_that_somebody_asked_for_is_reported_with_its_reason(turns):
    now = turn_row_of(turns[0]).created_at
    Turn.objects.filter(pk=turns[0]).update(stop_requested_at=now, stop_reason="claim")
    Turn.objects.filter(pk=turns[1]).update(stop_requested_at=now)

    report = save_checkpoints([Checkpoint(each, 0, None) for each in turns])

    assert report.stops == {turns[0]: "claim", turns[1]: "person"}


def test_no_checkpoint_at_all_is_no_error(turns):
    report = save_checkpoints([])

    assert (report.ended, report.stops) == (set(), {})


@pytest.mark.skipif(
    connection.vendor != "postgresql",
    reason="SQLite has one writer, and locks no rows: played in the run on PostgreSQL",
)
def test_a_row_that_somebody_holds_is_skipped_and_the_others_are_saved(turns):
    """Never waits for a deletion or a finish that holds a turn."""
    with transaction.atomic():
        Turn.objects.select_for_update().get(pk=turns[0])
        outcome = all_at_once(
            [lambda: save_checkpoints([Checkpoint(each, 7, "text", "", 4) for each in turns])]
        )

    assert (outcome[0].ended, outcome[0].skipped) == (set(), {turns[0]})
    assert rows(turns) == [("", 0, 0), ("text", 7, 1), ("text", 7, 1)]


def test_all_turns_of_a_process_are_saved_by_a_handful_of_statements(
    turns, django_assert_max_num_queries
):
    with django_assert_max_num_queries(5 if connection.vendor == "postgresql" else 8):
        save_checkpoints([Checkpoint(each, 7, "text", "", 4) for each in turns])


def test_a_running_turn_is_saved_while_it_runs(alice, conversation, script, settings):
    gate = Gate()
    script(ReasoningDelta("Hm."), TextDelta("So "), TextDelta("far"), gate, Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref

    until(lambda: turn_row(ref).text == "So far", "a checkpoint was saved")

    row = turn_row(ref)
    assert (row.reasoning, row.last_seq, row.characters) == ("Hm.", 3, 9)
    gate.open()
    read(ref)
    assert turn_row(ref).text == ""


def test_text_whose_row_was_held_follows_though_no_more_comes(
    alice, conversation, script, settings, monkeypatch
):
    """F1: a checkpoint that was skipped is not taken for saved."""
    settings.CHECKPOINT_SECONDS = 0.01
    gate = Gate()
    skipped: list[Any] = []

    def held_at_first(checkpoints):
        if not any(each.text for each in checkpoints) or skipped:
            return save_checkpoints(checkpoints)
        skipped.extend(each.turn_id for each in checkpoints)
        return Report(skipped=set(skipped))

    monkeypatch.setattr("chat.turns.runner.save_checkpoints", held_at_first)
    script(TextDelta("So far"), gate, Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref

    until(lambda: turn_row(ref).text == "So far", "the text followed")

    assert skipped == [ref.turn_id]
    gate.open()
    read(ref)


def test_a_checkpoint_says_which_model_speaks(turns):
    save_checkpoints([Checkpoint(turns[0], 3, "one", "", 3, 1), Checkpoint(turns[1], 3, "two")])

    assert [turn_row_of(each).answering for each in turns] == [1, None, None]


@pytest.mark.row("A8")
def test_a_row_that_somebody_else_ended_ends_the_asking(alice, conversation, script):
    """T5: the owner does not write on for ever."""
    gate = Gate()
    script(TextDelta("So far"), gate, TextDelta("never"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")

    runner.submit(close_turn(ref.turn_id, status=Turn.Status.STOPPED))

    until(lambda: ref.turn_id not in runner.turns, "the owner let go")
    assert script.closed_early == 1
    assert Message.objects.get(pk=ref.message_id).content == "So far"
    assert read(ref)[-1]["message"]["status"] == "stopped"
