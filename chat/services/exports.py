"""Conversations as files, made page by page: an export holds one page in memory (R8).

Whoever sends one advances the generator in a thread; between two steps it holds no connection's
transaction, so that what changes meanwhile may be in it or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from chat.models import Conversation, Message
from chat.services.imports.own import FORMAT, VERSION
from chat.services.messages import show_checkpoints
from chat.streams.events import message_fields, timestamp
from chat.turns import transcript
from common.models import Record
from common.text import heading

if TYPE_CHECKING:
    from accounts.models import User

_Row = TypeVar("_Row", bound=Record)

# What only the wire needs: the file says the first once, and the last follow from the parents.
_NOT_IN_FILES = frozenset({"conversation_id", "siblings", "attachments"})


def every_conversation_of(user: User) -> Iterator[Conversation]:
    """The oldest first."""
    for page in pages_of(Conversation.objects.visible_to(user)):
        yield from page


def pages_of(rows: QuerySet[_Row]) -> Iterator[list[_Row]]:
    """The oldest first; each page is read when its time comes."""
    after = UUID(int=0)
    while page := list(rows.order_by("id").filter(pk__gt=after)[: settings.EXPORT_PAGE]):
        yield page
        after = page[-1].pk


# -- JSON --------------------------------------------------------------------------------------
def as_json(conversations: Iterable[Conversation]) -> Iterator[bytes]:
    """The file that `POST conversations/import` takes: whole trees, in the order of positions."""
    head = {"format": FORMAT, "version": VERSION, "exported_at": timestamp(timezone.now())}
    yield _json(head)[:-1] + b',"conversations":['
    is_first = True
    for each in conversations:
        yield b"\n" if is_first else b",\n"
        yield from _conversation_as_json(each)
        is_first = False
    yield b"\n]}\n"


def _conversation_as_json(conversation: Conversation) -> Iterator[bytes]:
    yield (
        _json(
            {
                "id": conversation.id,
                "title": conversation.title,
                "title_source": conversation.title_source,
                "model": conversation.model,
                "system_prompt": conversation.system_prompt,
                "parameters": conversation.parameters,
                "archived": conversation.archived,
                "pinned": conversation.pinned,
                "created_at": timestamp(conversation.created_at),
                "updated_at": timestamp(conversation.updated_at),
            }
        )[:-1]
        + b',"messages":['
    )
    is_first = True
    for page in _pages(conversation):
        lines = [_json(_message_fields(each)) for each in page]
        yield (b"\n" if is_first else b",\n") + b",\n".join(lines)
        is_first = False
    yield b"]}"


def _pages(conversation: Conversation) -> Iterator[list[Message]]:
    after = 0
    rows = Message.objects.filter(conversation=conversation).order_by("position")
    while page := list(rows.filter(position__gt=after)[: settings.EXPORT_PAGE]):
        show_checkpoints(page)
        yield page
        after = page[-1].position


def _message_fields(message: Message) -> dict[str, Any]:
    fields = message_fields(message, siblings=())
    shown = {name: value for name, value in fields.items() if name not in _NOT_IN_FILES}
    return shown | {"position": message.position, "ended_position": message.ended_position}


def _json(fields: dict[str, Any]) -> bytes:
    return orjson.dumps(fields, default=str)


# -- Markdown ----------------------------------------------------------------------------------
def as_markdown(conversation: Conversation) -> Iterator[bytes]:
    """The active branch, to be read; then what was said on others. Messages are numbered as they
    stand in the transcript, so that those of other branches can say what they hang below."""
    title = heading(conversation.title) or _("Conversation")
    yield f"# {title}\n\n{timestamp(conversation.created_at)}\n".encode()
    if conversation.system_prompt:
        yield f"\n## {_('System prompt')}\n\n{conversation.system_prompt}\n".encode()
    tree = transcript.links(conversation.id)
    numbers = {message_id: number for number, message_id in enumerate(tree, 1)}
    active = transcript.path(tree, next(reversed(tree), None))[::-1]
    for page in _with_ids(active):
        yield "".join(_message_as_markdown(each, _name(each, numbers)) for each in page).encode()
    others = list(tree.keys() - set(active))
    if others:
        yield f"\n---\n\n# {_('Other branches')}\n".encode()
    for page in _with_ids(sorted(others, key=numbers.__getitem__)):
        yield "".join(
            _message_as_markdown(each, f"{_name(each, numbers)} {_place(each, numbers)}")
            for each in page
        ).encode()


def _with_ids(ids: list[UUID]) -> Iterator[list[Message]]:
    for start in range(0, len(ids), settings.EXPORT_PAGE):
        wanted = ids[start : start + settings.EXPORT_PAGE]
        page = list(Message.objects.filter(pk__in=wanted).order_by("position"))
        show_checkpoints(page)
        yield page


def _message_as_markdown(message: Message, heading: str) -> str:
    text = message.content or (f"*{message.error_detail}*" if message.error_detail else "")
    return f"\n## {heading}\n\n{timestamp(message.created_at)}\n\n{text}\n"


def _name(message: Message, numbers: dict[UUID, int]) -> str:
    name = f"{numbers[message.pk]}. {Message.Role(message.role).label}"
    return f"{name} ({message.model})" if message.model else name


def _place(message: Message, numbers: dict[UUID, int]) -> str:
    if message.parent_id is None:
        return _("[a beginning]")
    return _("[follows %(number)d]") % {"number": numbers.get(message.parent_id, 0)}
