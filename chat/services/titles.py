"""Automatic titles: what a conversation is called until a person says it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from constance import config
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Substr

from accounts.services.callers import Caller
from chat.models import Conversation, Message, Turn
from chat.services.material import INSTRUCTION, material
from chat.services.unasked import UnaskedJob, written
from chat.services.wording import cleaned_title, first_words
from chat.streams import nudges
from chat.turns.choosing import choose_model
from common.db import in_thread, write_transaction
from common.errors import AppError
from models_registry.services.routing import routes_for, system_model

if TYPE_CHECKING:
    from chat.turns.choosing import Asked

logger = structlog.get_logger(__name__)

_PROMPT = (
    "You give conversations their titles. Write nothing but a title, at most six words, in the"
    " language of the conversation, as plain text without quotes and full stop. " + INSTRUCTION
)


@dataclass(frozen=True, slots=True)
class _Untitled:
    """A conversation that is to have a title. `asked` None: no model writes it, now or, with
    `is_last`, ever."""

    conversation: Conversation
    question: str
    answer: str
    asked: Asked | None
    is_last: bool


def write_titles() -> int:
    """Give a title to conversations that went on without one; how many were looked at.

    Safe at any time, and beside itself: each is claimed by one UPDATE.
    """
    return _job.run(lambda: map(_claimed, _due()))


async def _write(untitled: _Untitled) -> None:
    title = ""
    if untitled.asked is not None:
        said = material([("user", untitled.question), ("assistant", untitled.answer)])
        messages = [{"role": "system", "content": _PROMPT}, {"role": "user", "content": said}]
        title = cleaned_title(await written(untitled.asked, messages, purpose=Turn.Purpose.TITLE))
    await in_thread(_keep)(untitled, title)


_job = UnaskedJob(
    _write,
    failed=(
        "A conversation got no title; its next answer brings another try. If the database is up,"
        " please report what follows."
    ),
)


def _due() -> list[UUID]:
    rows = Conversation.objects.due_for_title().order_by("-id")
    return list(rows.values_list("id", flat=True)[: settings.TITLES_AT_ONCE])


def _claimed(conversation_id: UUID) -> _Untitled | None:
    """Take it on: None when another job has, or when nothing was said that could be a title."""
    due = Conversation.objects.due_for_title().select_related("owner")
    conversation = due.filter(pk=conversation_id).first()
    if conversation is None:
        return None
    question, answer = _exchange(conversation)
    running = Turn.objects.running().filter(conversation=conversation)
    is_awaited = not answer and running.exists()
    asked = _asked(conversation) if question and answer and config.automatic_titles else None
    tries = conversation.title_tries + bool(asked)
    claimed = Conversation.objects.filter(
        pk=conversation.pk,
        title_source=Conversation.TitleSource.NONE,
        titled_position=conversation.titled_position,
    ).update(titled_position=conversation.last_position, title_tries=tries)
    if not (claimed and question) or is_awaited:
        return None
    return _Untitled(
        conversation,
        question,
        answer,
        asked,
        is_last=tries >= settings.TITLE_TRIES or not config.automatic_titles,
    )


def _exchange(conversation: Conversation) -> tuple[str, str]:
    """The beginnings of what was asked first and of what was answered first; "" for neither."""
    said = Message.objects.filter(conversation=conversation).exclude(content="")
    questions = said.filter(role=Message.Role.USER)
    # With a turn: thousands of conversations may be imported at once, and shall cost nothing.
    answers = said.filter(role=Message.Role.ASSISTANT, turn__isnull=False)
    beginning = Substr("content", 1, settings.TITLE_MATERIAL_CHARACTERS)
    question, answer = (
        rows.order_by("position").values_list(beginning, flat=True).first()
        for rows in (questions, answers)
    )
    return question or "", answer or ""


def _asked(conversation: Conversation) -> Asked | None:
    """The conversation's model, or the one for titles. What a person says to a model of their
    own is for that one alone."""
    parameters = {"max_tokens": settings.TITLE_OUTPUT_TOKENS}
    try:
        asked = choose_model(Caller(conversation.owner, None), conversation.model, parameters)
        if config.title_model and asked.model.owner_id is None:
            model = system_model(config.title_model) or asked.model
            asked = replace(asked, model=model, routes=routes_for(model, conversation.owner))
    except AppError as error:
        logger.info("No model may write a title.", error=type(error).__name__)
        return None
    return asked


def _keep(untitled: _Untitled, title: str) -> None:
    """Write it, unless a person did meanwhile. Without one the first words have to do, until
    another answer comes."""
    source = Conversation.TitleSource
    if untitled.conversation.title and not (title or untitled.is_last):
        return
    given = title or first_words(untitled.question)
    with write_transaction():
        written_ = Conversation.objects.filter(
            pk=untitled.conversation.pk, title_source=source.NONE
        ).update(
            title=given,
            title_source=source.AUTO if title or untitled.is_last else source.NONE,
            title_indexed=False,
        )
        if written_:
            owner_id, conversation_id = untitled.conversation.owner_id, untitled.conversation.pk
            transaction.on_commit(partial(nudges.conversation_changed, owner_id, conversation_id))
