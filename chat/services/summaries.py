"""Rolling summaries: what stands for the older part of a branch that outgrew its model's window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import starmap
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from constance import config
from django.conf import settings

from accounts.services.callers import Caller
from chat.models import Conversation, Message, Summary, Turn
from chat.services.material import INSTRUCTION, material
from chat.services.unasked import UnaskedJob, written
from chat.turns import transcript
from chat.turns.choosing import choose_model
from common.db import in_thread, write_transaction
from common.errors import AppError
from models_registry.tokens import count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chat.turns.choosing import Asked

logger = structlog.get_logger(__name__)

_PROMPT = (
    "You keep the record of a long conversation, for whoever goes on with it and cannot read it"
    " any more. Write down in at most {words} words, in the language of the conversation, what"
    " they have to know: names, numbers, decisions and their reasons, what was made, what is open,"
    " how the person wants to be answered. What stands under the role summary is the record so far:"
    " keep of it what still matters. Write nothing but the record. " + INSTRUCTION
)
_ROLES = (Message.Role.USER, Message.Role.ASSISTANT, Message.Role.AGENT, Message.Role.SYSTEM)
_ELLIPSIS = " […] "


@dataclass(frozen=True, slots=True)
class _Said:
    """A message as it was when it was read."""

    id: UUID
    role: str
    text: str
    edited_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be summed up, oldest first, after what `base` covers. Sizes are in tokens."""

    conversation_id: UUID
    asked: Asked
    base: Summary | None
    pending: list[_Said]
    portion: int
    most: int

    def size(self, text: str) -> int:
        return count(text, self.asked.routes[0].encoding)


def write_summaries() -> int:
    """Sum up branches that outgrew their windows; how many were taken on.

    Safe at any time, and beside itself: each is claimed by one UPDATE. One that fails is left
    until the branch goes on.
    """
    return _job.run(lambda: starmap(_claimed, _due()))


def forget_after(message: Message) -> None:
    """Drop what covers `message`: part of the transaction that changed its text, under the
    conversation's lock."""
    # Also of branches beside it, whose summaries will be made again.
    Summary.objects.filter(
        conversation=message.conversation_id, message__position__gte=message.position
    ).delete()


def forget_messages(ids: Collection[UUID]) -> None:
    """Part of the transaction that deletes them, and with each all that follow from it."""
    Summary.objects.filter(message__in=ids).delete()


def forget_conversations(ids: Collection[UUID]) -> None:
    """Part of the transaction that deletes them."""
    Summary.objects.filter(conversation__in=ids).delete()


# -- what is to be done ------------------------------------------------------------------------
def _due() -> list[tuple[UUID, UUID | None]]:
    """Conversations, each with the end of the branch that outgrew its window."""
    rows = Conversation.objects.filter(summary_due__isnull=False)
    return list(rows.values_list("id", "summary_due")[: settings.SUMMARIES_AT_ONCE])


def _claimed(conversation_id: UUID, leaf: UUID | None) -> _Plan | None:
    """Take it on: None when another job has, or when there is nothing to be done."""
    found = Conversation.objects.filter(pk=conversation_id)
    if not found.filter(summary_due=leaf).update(summary_due=None):
        return None
    conversation = found.select_related("owner").first()
    if conversation is None or leaf is None or not config.automatic_summaries:
        return None
    try:
        owner = Caller(conversation.owner, None)
        asked = choose_model(owner, conversation.model, conversation.parameters)
    except AppError as error:
        logger.info("No model may write a summary.", error=type(error).__name__)
        return None
    return _plan(conversation, asked, leaf)


def _plan(conversation: Conversation, asked: Asked, leaf: UUID) -> _Plan | None:
    """Everything but the newest messages that fill half the room; None when that is done."""
    most = min(settings.SUMMARY_TOKENS, asked.room // 8)
    path = transcript.path(transcript.links(conversation.pk), leaf)
    encoding = asked.routes[0].encoding
    left = asked.room // 2 - count(conversation.system_prompt, encoding) - most
    kept = 0
    for each in transcript.load(path):
        left -= count(each.content, encoding)
        if left < 0:
            break
        kept += 1
    older = path[kept:]
    base = Summary.objects.filter(message__in=older).order_by("-message__position").first()
    pending = older[: older.index(base.message_id)] if base else older
    if not pending:
        return None
    return _Plan(
        conversation.pk,
        replace(asked, parameters={"max_tokens": 2 * most}),  # one that thinks needs more
        base,
        _read(pending[: -settings.SUMMARY_MESSAGES - 1 : -1]),
        # The rest of the room is for the summary so far, and for the quotes around it all.
        portion=asked.room // 2,
        most=most,
    )


def _read(ids: Sequence[UUID]) -> list[_Said]:
    rows = Message.objects.filter(pk__in=ids).order_by("position")
    return [_Said(*row) for row in rows.values_list("id", "role", "content", "edited_at")]


# -- doing it ----------------------------------------------------------------------------------
async def _write(plan: _Plan) -> None:
    """Portion by portion, each summed up together with the summary so far."""
    base, pending = plan.base, plan.pending
    for _round in range(settings.SUMMARY_ROUNDS):
        if not pending:
            return
        portion, shown = await in_thread(_portion)(plan, pending)
        earlier = [("summary", base.text)] if base else []
        prompt = _PROMPT.format(words=plan.most // 2)
        messages = [
            {"role": "system", "content": prompt},
            {"role": "user", "content": material([*earlier, *shown])},
        ]
        text = await written(plan.asked, messages, purpose=Turn.Purpose.SUMMARY)
        base = await in_thread(_keep)(plan, base, portion, text)
        if base is None:
            return
        pending = pending[len(portion) :]


_job = UnaskedJob(
    _write,
    failed=(
        "A branch got no summary; its next answer brings another try. If the database is up,"
        " please report what follows."
    ),
)


def _portion(plan: _Plan, pending: list[_Said]) -> tuple[list[_Said], list[tuple[str, str]]]:
    """The next messages that one request can hold, and what of them is shown: one that is longer
    than all of it is shown by its beginning and its end."""
    taken: list[_Said] = []
    shown: list[tuple[str, str]] = []
    left = plan.portion
    for each in pending:
        text = _shortened(plan, each.text, plan.portion)
        left -= plan.size(text)
        if taken and left < 0:
            break
        taken.append(each)
        if text and each.role in _ROLES:
            shown.append((each.role, text))
    return taken, shown


def _shortened(plan: _Plan, text: str, most: int) -> str:
    size = plan.size(text)
    if size <= most:
        return text
    half = len(text) * most // size // 2
    return text[:half] + _ELLIPSIS + text[-half:]


def _keep(plan: _Plan, base: Summary | None, portion: list[_Said], text: str) -> Summary | None:
    """Store it, unless what it tells of was changed or deleted while the model wrote."""
    while (size := plan.size(text)) > plan.most:
        text = text[: len(text) * plan.most // size].rstrip()
    if not text:
        return None
    with write_transaction():
        mine = Conversation.objects.select_for_update().filter(pk=plan.conversation_id)
        if mine.first() is None:
            return None
        if base is not None and not Summary.objects.filter(pk=base.pk).exists():
            return None
        if _read([each.id for each in portion]) != portion:
            return None
        made, _created = Summary.objects.update_or_create(
            message_id=portion[-1].id,
            defaults={"conversation_id": plan.conversation_id, "text": text},
        )
        _drop_oldest(plan.conversation_id)
    return made


def _drop_oldest(conversation_id: UUID) -> None:
    rows = Summary.objects.filter(conversation=conversation_id).order_by("-id")
    kept = list(rows.values_list("id", flat=True)[: settings.SUMMARIES_KEPT])
    rows.exclude(pk__in=kept).delete()
