"""Once a second every running turn's text goes to the database, all in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection
from django.db.models import F

from chat.models import Turn
from common.db import write_transaction
from common.statements import update


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a turn is; `text` None when nothing came since the last checkpoint.

    `answering` is the place of the model that speaks among those that may.
    """

    turn_id: UUID
    last_seq: int
    text: str | None
    reasoning: str = ""
    characters: int = 0
    answering: int | None = None


@dataclass(slots=True)
class Report:
    """What the rows told in return: turns that ended or are gone, and stops asked for.

    `skipped` are those whose text was not written, because somebody held their row.
    """

    ended: set[UUID] = field(default_factory=set)
    stops: dict[UUID, str] = field(default_factory=dict)
    skipped: set[UUID] = field(default_factory=set)


def save_checkpoints(checkpoints: list[Checkpoint]) -> Report:
    """Write text, `last_seq` and `beat` of this process's turns; read what others want of them.

    Locks turn rows only, never a conversation; on PostgreSQL a row that somebody holds is
    skipped and follows a second later.
    """
    ids = [each.turn_id for each in checkpoints]
    written = [each for each in checkpoints if each.text is not None]
    with write_transaction():
        if connection.vendor == "postgresql":
            saved = _save_on_postgresql(written)
        else:
            saved = {each.turn_id for each in written if _save(each)}
        rows = Turn.objects.running().filter(pk__in=ids)
        if connection.vendor == "postgresql":
            # Evaluated as a subquery: locks what is free and leaves the rest.
            rows = Turn.objects.filter(pk__in=rows.select_for_update(skip_locked=True).values("pk"))
        rows.update(beat=F("beat") + 1)
    report = _report(ids)
    report.skipped = {each.turn_id for each in written} - saved
    return report


def _save(checkpoint: Checkpoint) -> bool:
    changed = update(
        Turn,
        where={"id": checkpoint.turn_id, "status": Turn.Status.RUNNING},
        changes={
            "text": checkpoint.text,
            "reasoning": checkpoint.reasoning,
            "last_seq": checkpoint.last_seq,
            "characters": checkpoint.characters,
            "answering": checkpoint.answering,
        },
    )
    return bool(changed)


def _save_on_postgresql(written: list[Checkpoint]) -> set[UUID]:
    """The turns whose rows were free."""
    if not written:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE chat_turn AS turn
            SET text = due.text, reasoning = due.reasoning, last_seq = due.last_seq,
                characters = due.characters, answering = due.answering
            FROM unnest(
                %s::uuid[], %s::text[], %s::text[], %s::int[], %s::int[], %s::smallint[]
            ) AS due(id, text, reasoning, last_seq, characters, answering)
            WHERE turn.id = due.id AND turn.id IN (
                SELECT id FROM chat_turn
                WHERE id = ANY(%s::uuid[]) AND status = 'running'
                FOR UPDATE SKIP LOCKED
            )
            RETURNING turn.id
            """,
            [
                [each.turn_id for each in written],
                [each.text for each in written],
                [each.reasoning for each in written],
                [each.last_seq for each in written],
                [each.characters for each in written],
                [each.answering for each in written],
                [each.turn_id for each in written],
            ],
        )
        return {row[0] for row in cursor.fetchall()}


def _report(ids: list[UUID]) -> Report:
    states = {
        turn_id: (status, asked, reason)
        for turn_id, status, asked, reason in Turn.objects.filter(pk__in=ids).values_list(
            "id", "status", "stop_requested_at", "stop_reason"
        )
    }
    report = Report()
    for turn_id in ids:
        status, asked, reason = states.get(turn_id, ("", None, ""))
        if status != Turn.Status.RUNNING:
            report.ended.add(turn_id)
        elif asked is not None:
            report.stops[turn_id] = reason or Turn.StopReason.PERSON
    return report
