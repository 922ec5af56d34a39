"""Do the rows of messages, turns, holds, ledger and counters agree with one another?

Each check finds rows that contradict others, and only what no commit may ever leave behind: so it
finds nothing whatever runs meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet, Sum, Window
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from chat.models import Conversation, IdempotencyRecord, Message, SearchPiece, Summary, Turn
from common.db import snapshot
from quotas.models import Hold, UsageRecord
from quotas.services import books

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# Of each kind: where thousands are wrong, the next run finds the next ones.
MOST_OF_A_KIND = 1_000

_Rows = QuerySet[Any, Any]

_REAP = _("Run: manage.py reap_turns")
_SWEEP = _("A running server settles it by itself, within minutes.")
_REBUILD = _("Run: manage.py search rebuild")
_REPAIR = _("Run: manage.py audit_usage --repair")
_REPORT = _("Nothing mends this by itself. Keep the log of that time and report it with this line.")


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows that do not agree: `found` names them, and what they say."""

    kind: str
    says: _StrPromise
    remedy: _StrPromise
    found: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Check:
    says: _StrPromise
    remedy: _StrPromise
    rows: Callable[[], _Rows]


_checks: list[_Check] = []


def _check(
    says: _StrPromise, *, remedy: _StrPromise = _REPORT
) -> Callable[[Callable[[], _Rows]], Callable[[], _Rows]]:
    """A function that finds rows which contradict others; its name is the kind of difference."""

    def register(rows: Callable[[], _Rows]) -> Callable[[], _Rows]:
        _checks.append(_Check(says, remedy, rows))
        return rows

    return register


def differences() -> Iterator[Difference]:
    """All there are at one moment, MOST_OF_A_KIND of each kind at most."""
    with snapshot():
        for check in _checks:
            for found in check.rows()[:MOST_OF_A_KIND].iterator():
                yield Difference(check.rows.__name__, check.says, check.remedy, found)
        says = _("The counters of a limit disagree with the ledger and the open holds.")
        for window in islice(books.differences(), MOST_OF_A_KIND):
            yield Difference("counters", says, _REPAIR, window.as_row())


# -- turns and their messages ----------------------------------------------------------------
@_check(_("A turn runs for longer than any may: its process is gone."), remedy=_REAP)
def turn_running_too_long() -> _Rows:
    longest = timedelta(seconds=settings.TURN_SECONDS + 2 * settings.DEAD_TURN_SECONDS)
    return _turns(Turn.objects.running().filter(created_at__lt=Now() - longest), "owner")


@_check(_("A turn that runs has the time of an end, or one that ended has none."))
def turn_end() -> _Rows:
    running = Q(status=Turn.Status.RUNNING)
    wrong = running & Q(ended_at__isnull=False) | ~running & Q(ended_at=None)
    return _turns(Turn.objects.filter(wrong), "ended_at")


@_check(_("A turn that ended still keeps its text."))
def turn_text() -> _Rows:
    ended = Turn.objects.exclude(status=Turn.Status.RUNNING)
    return _turns(ended.exclude(text="", reasoning=""))


@_check(_("A turn is not where its message is, or ahead of its conversation."))
def turn_place() -> _Rows:
    half = Q(message=None, conversation__isnull=False) | Q(message__isnull=False, conversation=None)
    elsewhere = ~Q(message__conversation=F("conversation")) & Q(
        message__isnull=False, conversation__isnull=False
    )
    lost = Q(message=None, purpose=Turn.Purpose.MESSAGE, status=Turn.Status.RUNNING)
    ahead = Q(epoch__gt=F("conversation__epoch"))
    return _turns(Turn.objects.filter(half | elsewhere | lost | ahead), "epoch")


@_check(_("A message and its turn disagree on how it ended."))
def message_status() -> _Rows:
    running = Q(status=Turn.Status.RUNNING)
    written = Q(message__status__in=Message.BEING_WRITTEN)
    same = Q(message__status=F("status"), message__error_code=F("error_code"))
    unlike = running & ~written | ~running & ~same
    turns = Turn.objects.filter(unlike, message__isnull=False)
    return _turns(turns, "error_code", "message__status", "message__error_code")


@_check(_("A message is being written, but no turn writes it."))
def message_unwritten() -> _Rows:
    running = Turn.objects.running().filter(message=OuterRef("pk"))
    written = Message.objects.filter(~Exists(running), status__in=Message.BEING_WRITTEN)
    return written.values("id", "conversation", "status")


@_check(_("An answer ended without a place for its end, or has one before its end."))
def message_end_position() -> _Rows:
    running = Q(turn__status=Turn.Status.RUNNING)
    has_end = Q(ended_position__gt=F("position"))
    wrong = running & Q(ended_position__isnull=False) | ~running & ~has_end
    wrong |= ~running & Q(ended_position=None)
    return _places(Message.objects.filter(wrong, turn__isnull=False))


def _turns(turns: QuerySet[Turn], *fields: str) -> _Rows:
    rows: _Rows = turns.values("id", "conversation", "message", "status", *fields)
    return rows


# -- holds and the ledger --------------------------------------------------------------------
@_check(_("A turn runs without a hold."))
def turn_without_hold() -> _Rows:
    held = Hold.objects.filter(turn_id=OuterRef("pk"), status=Hold.Status.OPEN)
    return _turns(Turn.objects.running().filter(~Exists(held)))


@_check(_("A hold is open, but its turn does not run."), remedy=_SWEEP)
def hold_without_turn() -> _Rows:
    running = Turn.objects.running().filter(pk=OuterRef("turn_id"))
    return _holds(Hold.objects.filter(~Exists(running), status=Hold.Status.OPEN))


@_check(_("An open hold has the time of a settlement, or a settled one has none."))
def hold_end() -> _Rows:
    is_open = Q(status=Hold.Status.OPEN)
    wrong = is_open & Q(settled_at__isnull=False) | ~is_open & Q(settled_at=None)
    return _holds(Hold.objects.filter(wrong))


@_check(_("A turn ended without a row in the ledger."))
def turn_without_record() -> _Rows:
    charged = UsageRecord.objects.filter(turn_id=OuterRef("pk"))
    ended = Turn.objects.exclude(status=Turn.Status.RUNNING)
    return _turns(ended.filter(~Exists(charged)))


@_check(_("The ledger has a row of a turn that runs, or whose hold is open."))
def record_too_early() -> _Rows:
    running = Turn.objects.running().filter(pk=OuterRef("turn_id"))
    held = Hold.objects.filter(turn_id=OuterRef("turn_id"), status=Hold.Status.OPEN)
    records = UsageRecord.objects.filter(Exists(running) | Exists(held))
    return records.values("id", "turn_id", "outcome")


@_check(_("The ledger and the message disagree on what an answer used."))
def record_of_message() -> _Rows:
    """The ledger against the message: the turn itself keeps no count."""
    used = ("prompt_tokens", "completion_tokens", "cost")
    same = {name: OuterRef(f"message__{name}") for name in used}
    answers = Turn.objects.filter(message__isnull=False)
    return _turns(_charged_otherwise(answers, **same), *(f"message__{name}" for name in used))


@_check(_("The ledger and the turn disagree on what ran."))
def record_of_turn() -> _Rows:
    stateless = Turn.objects.filter(message=None)
    return _turns(_charged_otherwise(stateless), "purpose", "model")


def _charged_otherwise(turns: QuerySet[Turn], **same: OuterRef) -> QuerySet[Turn]:
    """Those that ended and have a row in the ledger, but none that says what they do."""
    charged = UsageRecord.objects.filter(turn_id=OuterRef("pk"))
    agreeing = charged.filter(
        outcome=OuterRef("status"), purpose=OuterRef("purpose"), model=OuterRef("model"), **same
    )
    ended = turns.exclude(status=Turn.Status.RUNNING)
    return ended.filter(~Exists(agreeing), Exists(charged))


def _holds(holds: QuerySet[Hold]) -> _Rows:
    return holds.values("id", "turn_id", "status", "settled_at")


# -- transcripts -----------------------------------------------------------------------------
@_check(_("A conversation counts other messages, positions or tokens than it has."))
def conversation_counts() -> _Rows:
    """A conversation's own counts against its messages; what was deleted stays in its sums."""
    tokens = Coalesce(F("messages__prompt_tokens"), 0) + Coalesce(
        F("messages__completion_tokens"), 0
    )
    whole = Conversation.objects.order_by().values(
        "id", "message_count", "last_position", "tokens", "cost"
    )
    counted = whole.annotate(
        messages_there=Count("messages"),
        highest_position=Max("messages__position"),
        highest_end=Max("messages__ended_position"),
        tokens_there=Coalesce(Sum(tokens), 0),
        cost_there=Coalesce(Sum("messages__cost"), 0),
    )
    return counted.filter(
        ~Q(message_count=F("messages_there"))
        | Q(last_position__lt=F("highest_position"))
        | Q(last_position__lt=F("highest_end"))
        | Q(tokens__lt=F("tokens_there"))
        | Q(cost__lt=F("cost_there"))
    )


_SHARED = _("Two messages of a conversation share one position.")


@_check(_SHARED)
def position_doubled() -> _Rows:
    """No message begins where another one ends. What was imported, and has no turn, keeps the
    count of its file."""
    begun = Message.objects.filter(
        conversation=OuterRef("conversation"), position=OuterRef("ended_position")
    )
    taken = begun.exclude(pk=OuterRef("pk"))
    return _places(Message.objects.filter(Exists(taken), turn__isnull=False))


@_check(_SHARED)
def end_doubled() -> _Rows:
    """Nor do two end at one; all in one pass, as no index knows the ends."""
    end = [F("conversation"), F("ended_position")]
    ended = Message.objects.filter(ended_position__isnull=False).annotate(
        ends=Window(Count("id"), partition_by=end), turns=Window(Count("turn"), partition_by=end)
    )
    return _places(ended.filter(ends__gt=1, turns__gt=0))


def _places(messages: QuerySet[Message]) -> _Rows:
    rows: _Rows = messages.values("id", "conversation", "position", "ended_position")
    return rows


@_check(_("A message answers one of another conversation, or one that came later."))
def message_parent() -> _Rows:
    wrong = ~Q(parent__conversation=F("conversation")) | Q(parent__position__gte=F("position"))
    messages = Message.objects.filter(wrong, parent__isnull=False)
    return messages.values("id", "conversation", "position", "parent", "parent__position")


@_check(_("A summary is of a message of another conversation."))
def summary_place() -> _Rows:
    wrong = Summary.objects.exclude(message__conversation=F("conversation"))
    return wrong.values("id", "conversation", "message")


# -- what points to them ---------------------------------------------------------------------
@_check(_("An Idempotency-Key leads to no turn."))
def key_without_turn() -> _Rows:
    turns = Turn.objects.filter(pk=OuterRef("turn_id"))
    return IdempotencyRecord.objects.filter(~Exists(turns)).values("id", "turn_id", "operation")


@_check(_("The turn of an Idempotency-Key ended and kept no answer."))
def key_without_answer() -> _Rows:
    wants = Q(turn__purpose__in=[Turn.Purpose.CHAT, Turn.Purpose.V1], answer__isnull=True)
    kept = IdempotencyRecord.objects.filter(wants).exclude(turn__status=Turn.Status.RUNNING)
    return kept.values("id", "turn_id", "operation")


@_check(_("Search or titles are further than the transcript."), remedy=_REBUILD)
def index_position() -> _Rows:
    beyond = Q(indexed_position__gt=F("last_position")) | Q(titled_position__gt=F("last_position"))
    return Conversation.with_unfinished.filter(beyond).values(
        "id", "last_position", "indexed_position", "titled_position"
    )


@_check(_("Search finds words of a message that is not there."), remedy=_REBUILD)
def index_of_nothing() -> _Rows:
    there = Conversation.with_unfinished.filter(pk=OuterRef("conversation_id"))
    said = Message.objects.filter(
        pk=OuterRef("message_id"), conversation=OuterRef("conversation_id")
    )
    lost = ~Exists(there) | Q(message_id__isnull=False) & ~Exists(said)
    return SearchPiece.objects.filter(lost).values("id", "conversation_id", "message_id")
