"""Making, changing and deleting conversations."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import AuditAction, TargetKind
from accounts.services import audit
from accounts.services.callers import Caller
from chat.models import Conversation, Message, Turn
from chat.services import summaries
from chat.services.search import forget_conversations
from chat.turns.closing import forget_turns, tell_gone
from common.db import write_transaction
from common.errors import Invalid, NotFound
from common.statements import update_returning
from common.text import heading
from models_registry.services.routing import resolve_model

if TYPE_CHECKING:
    from accounts.models import User


def conversation_of(caller: Caller, conversation_id: UUID) -> Conversation:
    """Raises NotFound when it is not the caller's."""
    found = Conversation.objects.visible_to(caller.user).filter(pk=conversation_id).first()
    if found is None:
        raise NotFound()
    return found


def create_conversation(
    caller: Caller,
    *,
    title: str = "",
    model: str = "",
    system_prompt: str = "",
    parameters: dict[str, Any] | None = None,
) -> Conversation:
    """A new one, with the model that was named or the default one. Raises NotFound for a model
    that the caller may not use, ModelUnavailable where there is none, Invalid for a title of which
    nothing is seen."""
    title = _titled(title)
    return Conversation.objects.create(
        owner=caller.user,
        title=title,
        title_source=_source_of(title),
        model=resolve_model(caller.user, model or None, only=caller.models).name,
        system_prompt=system_prompt,
        parameters=parameters or {},
    )


def change_conversation(caller: Caller, conversation_id: UUID, **fields: Any) -> Conversation:
    """Write the given fields and no others. Raises NotFound, and Invalid for a title of which
    nothing is seen."""
    if fields.get("model"):
        fields["model"] = resolve_model(caller.user, fields["model"], only=caller.models).name
    if "title" in fields:
        title = _titled(fields["title"])
        fields |= {"title": title, "title_source": _source_of(title), "title_indexed": False}
    if not fields:
        return conversation_of(caller, conversation_id)
    where = {"id": conversation_id, "owner": caller.user.pk, "importing_at": None}
    with write_transaction():
        conversation = update_returning(Conversation, where=where, changes=fields)
    if conversation is None:
        raise NotFound()
    return conversation


def delete_conversation(caller: Caller, conversation_id: UUID) -> None:
    """Delete a conversation with all its messages. A running turn is stopped and settled."""
    with write_transaction():
        where = {"id": conversation_id, "owner": caller.user.pk, "importing_at": None}
        conversation = update_returning(Conversation, where=where, raised={"epoch": 1})
        if conversation is None:
            raise NotFound()
        _erase([conversation.pk])


def delete_for_owner(conversation: Conversation, *, actor: User | None) -> None:
    """What an operator does, and the audit trail keeps. `actor` None is the command line."""
    with write_transaction():
        delete_conversation(Caller(conversation.owner, None), conversation.pk)
        audit.record(
            AuditAction.CONVERSATION_DELETED,
            actor=actor,
            target=audit.Target(TargetKind.CONVERSATION, conversation.pk),
            after={"owner": str(conversation.owner_id)},
        )


def delete_conversations_of(user: User) -> None:
    """Everything a person wrote here; part of the transaction that erases them."""
    # Locked before their turns: a turn that ends meanwhile takes both in this order, too.
    mine = Conversation.with_unfinished.select_for_update().filter(owner=user).order_by("id")
    ids = list(mine.values_list("id", flat=True))
    # And these before any of their windows.
    list(Turn.objects.running().select_for_update().filter(user=user).order_by("id"))
    for start in range(0, len(ids), settings.PURGE_ROWS_AT_ONCE):
        _erase(ids[start : start + settings.PURGE_ROWS_AT_ONCE])
    for turn in Turn.objects.running().filter(user=user):
        transaction.on_commit(partial(tell_gone, forget_turns([turn])))


def _erase(ids: list[UUID]) -> None:
    turns = Turn.objects.filter(conversation__in=ids)
    ended = forget_turns(list(turns.running().select_for_update().order_by("id")))
    turns.update(conversation=None, message=None, text="", reasoning="")
    summaries.forget_conversations(ids)
    Message.objects.filter(conversation__in=ids).erase()
    forget_conversations(ids)
    Conversation.with_unfinished.filter(pk__in=ids).delete()
    transaction.on_commit(partial(tell_gone, ended))


def _titled(text: str) -> str:
    title = heading(text)
    if text and not title:
        raise Invalid.field("title", _("A title is made of characters that are seen."))
    return title


def _source_of(title: str) -> str:
    return Conversation.TitleSource.USER if title else Conversation.TitleSource.NONE
