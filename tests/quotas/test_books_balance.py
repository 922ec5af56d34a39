"""Whatever happens in whatever order, the books balance and no admission passes a limit."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.errors import AppError
from quotas.models import (
    Boost,
    Hold,
    Kind,
    Payer,
    Plan,
    PlanAssignment,
    SubjectLimit,
    UsageRecord,
    Window,
)
from quotas.periods import bounds
from quotas.services import books, windows
from quotas.services.holds import Wanted, release
from quotas.services.limits import limits_of
from tests.quotas.rows import PRICES, begin, end, limited, plan

PEOPLE = (UUID(int=1), UUID(int=2))
KEY = UUID(int=3)
PAYERS = (Payer(PEOPLE[0]), Payer(PEOPLE[0], key_id=KEY), Payer(PEOPLE[1]), Payer())
SUBJECTS = (
    ("user", str(PEOPLE[0])),
    ("user", str(PEOPLE[1])),
    ("key", str(KEY)),
    ("deployment", ""),
)
METRICS = st.sampled_from(["requests", "tokens", "cost"])
PERIODS = st.sampled_from(["minute", "day", "month", "total"])
AMOUNTS = st.integers(0, 6)
TOKENS = st.integers(1, 60)
# A minute before midnight, and before the end of a month and of daylight saving in Berlin.
START = datetime(2026, 10, 24, 21, 59, 30, tzinfo=UTC)


class Metering(RuleBasedStateMachine):
    """Turns of four payers under limits that come, change and go while the clock moves on.

    `open` are turns that run. For each window, by its id: `roof` is the most that a limit admitted
    to, `beyond` what turns used over their holds, `unseen` what turns used that had begun in its
    time before anybody asked for it.
    """

    @initialize()
    def clean(self) -> None:
        for model in (Window, Hold, UsageRecord, SubjectLimit, Boost, PlanAssignment, Plan):
            model._default_manager.all().delete()  # noqa: SLF001 documented
        plan("Default", ("tokens", "day", 200), is_default=True)
        plan("VIP", ("tokens", "day", 500), ("requests", "minute", 4))
        self.now = START
        self.open: list[UUID] = []
        self.begun = 0
        self.roof: dict[UUID, int] = defaultdict(int)
        self.beyond: dict[UUID, int] = defaultdict(int)
        self.unseen: dict[UUID, int] = defaultdict(int)

    # -- turns -----------------------------------------------------------------------------
    @rule(payer=st.sampled_from(PAYERS), sizes=st.lists(st.tuples(TOKENS, TOKENS), max_size=6))
    def hold(self, payer: Payer, sizes: list[tuple[int, int]]) -> None:
        for prompt, output in sizes:
            self.hold_one(payer, prompt, output)

    def hold_one(self, payer: Payer, prompt: int, output: int) -> None:
        wanted = Wanted(prompt, output, PRICES)
        limits = limits_of(payer, at=self.now).limits
        before = {each.key: self.standing(each) for each in limits}
        amounts = wanted.amounts(output)
        has_room = all(before[each.key] + amounts.of(each.metric) <= each.amount for each in limits)
        self.begun += 1
        there = set(Window.objects.values_list("pk", flat=True))
        try:
            turn = begin(payer, wanted, at=self.now, turn_id=UUID(int=self.begun))
        except AppError as refused:
            named = refused.extra["limit"]
            assert not has_room
            assert any(
                (each.kind, each.metric, each.period)
                == (
                    named["subject"],
                    named["metric"],
                    named["period"],
                )
                and before[each.key] + amounts.of(each.metric) > each.amount
                for each in limits
            )
            return
        finally:
            for made in Window.objects.exclude(pk__in=there):
                self.unseen[made.pk] = made.used
        assert has_room
        self.open.append(turn)
        for each in limits:
            window = self.window(each.key)
            self.roof[window.pk] = max(self.roof[window.pk], each.amount)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9), prompt=TOKENS, output=st.integers(0, 150))
    def settle(self, which: int, prompt: int, output: int) -> None:
        turn = self.open.pop(which % len(self.open))
        held = Hold.objects.get(turn_id=turn)
        counted = {UUID(window) for window, _limit in held.windows}
        before = {each.pk: each.used for each in Window.objects.all()}

        assert end(turn, prompt, output)
        assert not end(turn, 1_000, 1_000)

        for each in Window.objects.all():
            grown = each.used - before[each.pk]
            if each.pk in counted:
                self.beyond[each.pk] += max(0, grown - held.amounts.of(each.metric))
            else:
                self.unseen[each.pk] += grown

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 9))
    def crash_and_sweep(self, which: int) -> None:
        """The turn's process died, its rows are gone, and the sweep finds the hold."""
        turn = self.open.pop(which % len(self.open))

        assert release(turn)
        assert not release(turn)
        assert not end(turn)

    # -- what staff do, and the clock ----------------------------------------------------------
    @rule(subject=st.sampled_from(SUBJECTS), metric=METRICS, period=PERIODS, amount=AMOUNTS)
    def limit(self, subject: tuple[str, str], metric: str, period: str, amount: int) -> None:
        scale = 1 if metric == "requests" else 50
        SubjectLimit.objects.filter(
            kind=subject[0], subject_id=subject[1], metric=metric, period=period
        ).delete()
        limited(*subject, metric, period, amount * scale)

    @rule(subject=st.sampled_from(SUBJECTS))
    def lift(self, subject: tuple[str, str]) -> None:
        SubjectLimit.objects.filter(kind=subject[0], subject_id=subject[1]).delete()

    @rule(person=st.sampled_from(PEOPLE), is_vip=st.booleans())
    def change_plan(self, person: UUID, is_vip: bool) -> None:
        assigned = PlanAssignment.objects.filter(kind=Kind.USER, subject_id=str(person))
        assigned.delete()
        if is_vip:
            PlanAssignment.objects.create(
                kind="user", subject_id=str(person), plan=Plan.objects.get(name="VIP")
            )

    @rule(
        subject=st.sampled_from(SUBJECTS),
        metric=METRICS,
        amount=AMOUNTS,
        minutes=st.integers(1, 90),
    )
    def boost(self, subject: tuple[str, str], metric: str, amount: int, minutes: int) -> None:
        Boost.objects.create(
            kind=subject[0],
            subject_id=subject[1],
            metric=metric,
            amount=amount * 20,
            starts_at=self.now,
            ends_at=self.now + timedelta(minutes=minutes),
        )

    @rule(seconds=st.sampled_from([1, 1, 20, 20, 60, 3_600, 86_400, 31 * 86_400]))
    def go_on(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # -- what always holds ------------------------------------------------------------------
    @invariant()
    def counters_are_the_ledger_and_the_open_holds(self) -> None:
        assert list(books.audit()) == []
        assert set(Hold.objects.filter(status="open").values_list("turn_id", flat=True)) == set(
            self.open
        )

    @invariant()
    def a_limit_is_passed_only_by_what_nobody_could_know(self) -> None:
        for each in Window.objects.all():
            known = self.roof[each.pk] + self.beyond[each.pk] + self.unseen[each.pk]
            assert each.used + each.held <= known

    def standing(self, limit) -> int:
        found = windows.standing_of(limit, at=self.now)
        if found is None:
            return windows.ledger_sum(windows._window(limit, self.now))  # noqa: SLF001
        return found.used + found.held

    def window(self, key: tuple[str, str, str, str]) -> Window:
        kind, subject_id, metric, period = key
        start, _end = bounds(period, self.now)
        return Window.objects.get(
            kind=kind, subject_id=subject_id, metric=metric, period=period, start=start
        )


@pytest.mark.row("T8")
def test_the_books_balance_whatever_happens(settings):
    settings.TIME_ZONE = "Europe/Berlin"

    run_state_machine_as_test(
        Metering,
        settings=hypothesis.settings(
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
