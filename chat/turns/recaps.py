"""Which summary stands in a prompt for what the model's window has no room for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from chat.models import Conversation, Summary
from chat.turns.context import Context, Past, Recap
from common.statements import update

if TYPE_CHECKING:
    from chat.turns.transcript import Loaded

# A prompt that fills so much of its room will outgrow it soon: the next summary is made meanwhile.
_NEARLY_FULL = 7 / 8

_Build = Callable[[Iterator[Past], Recap | None], Context]


def fitted(
    conversation: Conversation,
    path: list[UUID],
    history: Iterable[Loaded],
    *,
    room: int,
    build: _Build,
) -> Context:
    """The context of the messages on `path` (newest first), with a summary if they do not fit.

    Of several summaries it is the one that covers least, as long as all the rest fits: what it
    leaves is more, and the prompt's beginning, which providers remember, changes less often. The
    conversation, whose row is locked, is marked where a further one is needed, now or soon.
    """
    replay = _Replay(history)
    context = build(replay.again(), None)
    recaps = _recaps(conversation.pk, path) if context.left_out else []
    last = None
    for recap in recaps:
        last = recap
        context = build(replay.again(), recap)
        if not context.forgotten:
            break
    is_short = context.forgotten > 0 or context.tokens > room * _NEARLY_FULL
    made_ahead = bool(recaps) and last is not recaps[-1]
    if path and is_short and not made_ahead and conversation.summary_due is None:
        update(Conversation, where={"id": conversation.pk}, changes={"summary_due": path[0]})
    return context


def _recaps(conversation_id: UUID, path: list[UUID]) -> list[Recap]:
    """Summaries of beginnings of the path, the shortest beginning first."""
    rows = Summary.objects.filter(conversation=conversation_id).order_by("message__position")
    covers = {message_id: len(path) - place for place, message_id in enumerate(path)}
    return [
        Recap(text, covers[message_id])
        for message_id, text in rows.values_list("message_id", "text")
        if message_id in covers
    ]


class _Replay:
    """The same messages as often as they are needed; each is loaded once."""

    def __init__(self, history: Iterable[Loaded]) -> None:
        self._source = iter(history)
        self._loaded: list[Past] = []

    def again(self) -> Iterator[Past]:
        yield from self._loaded
        for each in self._source:
            self._loaded.append(Past(each.role, each.content))
            yield self._loaded[-1]
