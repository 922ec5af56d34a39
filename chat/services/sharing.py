"""Public links: a snapshot of the active branch, and nothing else of its owner (A9)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet, Sum
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import AuditAction, TargetKind
from accounts.services import audit
from chat.models import Conversation, Message, Share
from chat.services.conversations import conversation_of
from chat.streams.events import timestamp
from chat.turns import transcript
from common.db import write_transaction
from common.digests import digest
from common.errors import Conflict, NotFound
from common.markdown import as_html
from common.text import heading

if TYPE_CHECKING:
    from accounts.models import User
    from accounts.services.callers import Caller

_TOKEN_BYTES = 16
_SHOWN = (Message.Role.USER, Message.Role.ASSISTANT)


def share_conversation(caller: Caller, conversation_id: UUID) -> str:
    """The address of a new snapshot; an earlier link of the same conversation ends.

    Raises NotFound, and Conflict where there is nothing to show yet, or too much.
    """
    conversation = conversation_of(caller, conversation_id)
    turns = _snapshot(conversation)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    with write_transaction():
        # Locked, so that it is neither deleted nor shared twice meanwhile.
        mine = Conversation.objects.visible_to(caller.user).select_for_update()
        if mine.filter(pk=conversation.pk).first() is None:
            raise NotFound
        Share.objects.update_or_create(
            conversation=conversation,
            defaults={
                "digest": digest(token),
                "title": heading(conversation.title),
                "turns": turns,
                "created_at": timezone.now(),
            },
        )
    return f"{settings.PUBLIC_URL}/share/{token}"


def unshare_conversation(caller: Caller, conversation_id: UUID) -> None:
    """The link, if there is one, leads nowhere from now on. Raises NotFound."""
    _revoke(conversation_of(caller, conversation_id).pk)


def shares_of(caller: Caller) -> QuerySet[Share]:
    """What this person has made public, without what it shows."""
    return Share.objects.visible_to(caller.user).defer("turns")


def revoke_share(conversation: Conversation, *, actor: User | None) -> bool:
    """What an operator does, and the audit trail keeps; False where nothing was shared. `actor`
    None is the command line."""
    with write_transaction():
        if not _revoke(conversation.pk):
            return False
        audit.record(
            AuditAction.SHARE_REVOKED,
            actor=actor,
            target=audit.Target(TargetKind.CONVERSATION, conversation.pk),
            after={"owner": str(conversation.owner_id)},
        )
    return True


def _revoke(conversation_id: UUID) -> bool:
    with write_transaction():
        ended, _tables = Share.objects.filter(conversation=conversation_id).delete()
    return bool(ended)


def shared_under(token: str) -> Share:
    """What a link shows; raises NotFound, whatever is wrong with it."""
    share = Share.objects.live().filter(digest=digest(token)).first()
    if share is None:
        raise NotFound
    return share


def _snapshot(conversation: Conversation) -> list[dict[str, Any]]:
    tree = transcript.links(conversation.pk)
    ids = transcript.path(tree, next(reversed(tree), None))
    found = Message.objects.filter(pk__in=ids, role__in=_SHOWN).ended().exclude(content="")
    size = found.aggregate(size=Sum(Length("content"), default=0))["size"]
    if not size:
        raise Conflict(_("There is nothing to share in this conversation yet."))
    if size > settings.SHARE_CHARACTERS:
        raise Conflict(_("This conversation is too long to be shared."))
    return [_turn(each) for each in found.order_by("position")]


def _turn(message: Message) -> dict[str, Any]:
    return {
        "role": message.role,
        "model": message.model if message.role == Message.Role.ASSISTANT else "",
        "html": as_html(message.content),
        "at": timestamp(message.created_at),
    }
