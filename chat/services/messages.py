"""Reading a branch, and changing what is in it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _

from chat.models import Conversation, Message, Turn
from chat.services import summaries
from chat.services.search import forget_messages, reindex_message
from chat.streams.events import message_fields
from chat.streams.stored import siblings
from chat.turns import transcript
from chat.turns.closing import forget_turns, tell_gone
from common.db import write_transaction
from common.errors import Conflict, Invalid, NotFound
from common.statements import update_returning

if TYPE_CHECKING:
    from accounts.services.callers import Caller
    from chat.turns.transcript import Link


@dataclass(frozen=True, slots=True)
class BranchPage:
    """Some messages of a branch, oldest first. `previous` is the message to ask `before` of for
    the page above, None at the root."""

    messages: list[dict[str, Any]]
    previous: UUID | None


def branch(
    caller: Caller,
    conversation_id: UUID,
    *,
    branch: UUID | None = None,
    before: UUID | None = None,
    limit: int,
) -> BranchPage:
    """The newest `limit` messages of the path to `branch` (the newest message), above `before`.

    Raises NotFound for a conversation, branch or `before` that is not the caller's or not there.
    """
    if not Conversation.objects.visible_to(caller.user).filter(pk=conversation_id).exists():
        raise NotFound()
    tree = transcript.links(conversation_id)
    leaf = branch or next(reversed(tree), None)
    if leaf is not None and leaf not in tree:
        raise NotFound()
    ids = transcript.path(tree, leaf)
    if before is not None:
        if before not in ids:
            raise NotFound()
        ids = ids[ids.index(before) + 1 :]
    page, above = ids[:limit], ids[limit:]
    rows = {row.pk: row for row in Message.objects.filter(pk__in=page)}
    show_checkpoints(list(rows.values()))
    alike = _alike(tree)
    shown = [
        message_fields(rows[each], siblings=alike[_kind(tree[each])])
        for each in reversed(page)
        if each in rows
    ]
    return BranchPage(shown, page[-1] if above else None)


def message_of(caller: Caller, message_id: UUID) -> dict[str, Any]:
    """One message as API.md shows it; NotFound when it is not the caller's."""
    message = Message.objects.visible_to(caller.user).filter(pk=message_id).first()
    if message is None:
        raise NotFound()
    show_checkpoints([message])
    return message_fields(message, siblings=siblings(message))


def edit_message(caller: Caller, message_id: UUID, content: str) -> dict[str, Any]:
    """Replace a message's text in place. Conflict while a turn is writing it."""
    mine = Conversation.objects.visible_to(caller.user).filter(messages=message_id)
    with write_transaction():
        conversation = mine.select_for_update(of=("self",)).first()
        if conversation is None:
            raise NotFound()
        is_being_written = Turn.objects.running().filter(message_id=message_id).exists()
        if is_being_written:
            raise Conflict(
                _("This message is still being written. Stop it first, or wait for its end.")
            )
        message = update_returning(
            Message,
            where={"id": message_id},
            changes={"content": content, "edited_at": timezone.now()},
        )
        if message is None:
            raise NotFound()
        reindex_message(conversation, message)
        summaries.forget_after(message)
    return message_fields(message, siblings=siblings(message))


def rate_message(
    caller: Caller, message_id: UUID, *, rating: str, comment: str = ""
) -> dict[str, Any]:
    """Keep what the caller thinks of an answer in place of what they thought before; "" takes
    it back. Raises NotFound, and Invalid for what is no answer."""
    role = Message.objects.visible_to(caller.user).filter(pk=message_id).values_list("role")
    if (found := role.first()) is None:
        raise NotFound()
    if found[0] != Message.Role.ASSISTANT:
        raise Invalid(_("Only an answer can be rated."))
    with write_transaction():
        message = update_returning(
            Message, where={"id": message_id}, changes={"rating": rating, "comment": comment}
        )
    if message is None:
        raise NotFound()
    show_checkpoints([message])
    return message_fields(message, siblings=siblings(message))


def delete_message(caller: Caller, message_id: UUID) -> None:
    """Delete a message and all that follow from it. A turn that writes one of them is stopped."""
    message = Message.objects.visible_to(caller.user).filter(pk=message_id).first()
    if message is None:
        raise NotFound()
    with write_transaction():
        conversation = update_returning(
            Conversation,
            where={"id": message.conversation_id},
            changes={"updated_at": timezone.now()},
        )
        if conversation is None:
            raise NotFound()
        doomed = _with_descendants(transcript.links(conversation.pk), message_id)
        turns = Turn.objects.filter(message_id__in=doomed)
        ended = forget_turns(list(turns.running()))
        turns.update(conversation=None, message=None, text="", reasoning="")
        summaries.forget_messages(doomed)
        Message.objects.filter(pk__in=doomed).erase()
        forget_messages(doomed)
        left = Message.objects.filter(conversation=conversation).aggregate(count=Count("id"))
        Conversation.objects.filter(pk=conversation.pk).update(message_count=left["count"])
        transaction.on_commit(partial(tell_gone, ended))


def show_checkpoints(messages: list[Message]) -> None:
    """A message that is being written shows what its turn has saved so far."""
    writing = {each.pk: each for each in messages if each.status == Message.Status.STREAMING}
    if not writing:
        return
    turns = Turn.objects.running().filter(message_id__in=writing)
    for message_id, text, reasoning in turns.values_list("message_id", "text", "reasoning"):
        writing[message_id].content, writing[message_id].reasoning = text, reasoning


def _kind(link: Link) -> tuple[UUID | None, str]:
    return link.parent_id, link.role


def _alike(tree: dict[UUID, Link]) -> dict[tuple[UUID | None, str], list[UUID]]:
    """Ids by parent and role: the siblings, oldest first."""
    alike: dict[tuple[UUID | None, str], list[UUID]] = defaultdict(list)
    for link in tree.values():
        alike[_kind(link)].append(link.id)
    return alike


def _with_descendants(tree: dict[UUID, Link], root: UUID) -> list[UUID]:
    # Oldest first, so a parent is always seen before its children.
    doomed = {root}
    for link in tree.values():
        if link.parent_id in doomed:
            doomed.add(link.id)
    return list(doomed)
