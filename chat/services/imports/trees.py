"""Messages of a file put into the order of a transcript, whatever their links say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from django.conf import settings

from chat.services.imports.drafts import Draft

_NO_TIME = datetime.min.replace(tzinfo=UTC)
_ROOT = -1
# What was deleted leaves gaps. Jobs walk along positions, so they may not be of any width.
_GAPS, _FREE = 10, 500


class Placed(NamedTuple):
    """A message in its place. `parent` is the number of an earlier one in the list, or None."""

    draft: Draft
    parent: int | None
    position: int
    ended_position: int | None


def placed(drafts: list[Draft], *, newest: str | None = None) -> list[Placed]:
    """The tree in the order of a transcript, every parent before its children.

    That is the order of the file's positions, which are kept unless they lie absurdly far apart.
    Where they make no sense it is that of time; `newest` then comes last, unless something hangs
    below it. Cut are: a second message of one id, the link to a parent that is not there, the
    link that closes a circle, and what hangs deeper than `MESSAGE_CHAIN`.
    """
    first: dict[str, Draft] = {}
    for each in drafts:
        first.setdefault(each.key, each)
    kept = list(first.values())
    numbers = {name: number for number, name in enumerate(first)}
    parents = [
        numbers.get(each.parent, _ROOT) if each.parent is not None else _ROOT for each in kept
    ]
    depths = _depths(parents)
    shallow = [number for number in range(len(kept)) if depths[number] <= settings.MESSAGE_CHAIN]
    if _has_positions(kept, parents, shallow):
        shallow.sort(key=lambda number: kept[number].position or 0)
        counts = _counts([kept[number] for number in shallow])
    else:
        last = numbers.get(newest, _ROOT) if newest is not None else _ROOT
        _sort_by_time(shallow, kept, parents, depths, last=last)
        counts = [
            (count, None if kept[number].ended_position is None else count)
            for count, number in enumerate(shallow, 1)
        ]
    places = {number: place for place, number in enumerate(shallow)}
    return [
        Placed(kept[number], places.get(parents[number]), *count)
        for number, count in zip(shallow, counts, strict=True)
    ]


def _depths(parents: list[int]) -> list[int]:
    """How many steps each is from its root, itself included. Cuts circles in `parents`."""
    unknown, on_the_way = 0, -1
    depths = [unknown] * len(parents)
    for start in range(len(parents)):
        way: list[int] = []
        step = start
        while step != _ROOT and depths[step] == unknown:
            depths[step] = on_the_way
            way.append(step)
            step = parents[step]
        if step != _ROOT and depths[step] == on_the_way:
            parents[way[-1]] = step = _ROOT
        depth = 0 if step == _ROOT else depths[step]
        for number in reversed(way):
            depth += 1
            depths[number] = depth
    return depths


def _has_positions(kept: list[Draft], parents: list[int], numbers: list[int]) -> bool:
    """Does each have one of its own, after its parent's?"""
    seen: set[int] = set()
    for number in numbers:
        position, parent = kept[number].position, parents[number]
        if not position or position in seen:
            return False
        if parent != _ROOT and position <= (kept[parent].position or 0):
            return False
        seen.add(position)
    return True


def _counts(drafts: list[Draft]) -> list[tuple[int, int | None]]:
    """Where each begins and ends, by the file's own count; closed up where that is too wide."""
    found: list[tuple[int, int | None]] = []
    for each in drafts:
        start, end = each.position or 0, each.ended_position
        found.append((start, None if end is None else max(start, end)))
    marks = sorted({mark for count in found for mark in count if mark is not None})
    if not marks or marks[-1] <= _GAPS * (len(drafts) + _FREE):
        return found
    ranks = {mark: rank for rank, mark in enumerate(marks, 1)}
    return [(ranks[start], None if end is None else ranks[end]) for start, end in found]


def _sort_by_time(
    numbers: list[int], kept: list[Draft], parents: list[int], depths: list[int], *, last: int
) -> None:
    times = _times(kept, parents, depths)
    has_children = set(parents)
    numbers.sort(
        key=lambda number: (
            number == last and number not in has_children,
            times[number],
            depths[number],
            number,
        )
    )


def _times(kept: list[Draft], parents: list[int], depths: list[int]) -> list[datetime]:
    """When each was written; never before its parent, which is its time where it has none."""
    times = [each.at or _NO_TIME for each in kept]
    for number in sorted(range(len(kept)), key=depths.__getitem__):
        if parents[number] != _ROOT:
            times[number] = max(times[number], times[parents[number]])
    return times
