"""From a locked conversation to a turn that has begun in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from chat.models import Conversation, Message, Turn
from chat.turns import transcript
from chat.turns.choosing import Asked, choose_model
from chat.turns.idempotency import Place
from chat.turns.prepare import begin_answer, context_of
from common.errors import Invalid, NotFound
from common.statements import update_returning

if TYPE_CHECKING:
    from accounts.models import User
    from accounts.services.callers import Caller
    from chat.streams.events import TurnRef
    from chat.turns.idempotency import Claim


class Joined(Exception):
    """Rolls the transaction back: the turn that is asked for has begun already."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self.turn = turn


def lock_conversation(
    caller: Caller, conversation_id: UUID, claim: Claim, *, messages: int
) -> Conversation:
    """Lock the caller's conversation and take positions in it, in one UPDATE."""
    conversation = update_returning(
        Conversation,
        where={"id": conversation_id, "owner": caller.user.pk, "importing_at": None},
        changes={"updated_at": timezone.now()},
        raised={"last_position": messages, "message_count": messages},
    )
    if conversation is None:
        raise NotFound()
    # Whoever held the lock before may have begun the very turn that is asked for.
    if earlier := claim.earlier_turn():
        raise Joined(earlier)
    return conversation


def asked_in(
    caller: Caller, conversation: Conversation, *, model: str, parameters: dict[str, Any]
) -> Asked:
    """The model and parameters of one turn: the request's, else the conversation's."""
    name = model or conversation.model
    asked = choose_model(caller, name, conversation.parameters | parameters)
    if model and model != conversation.model:  # the choice is remembered per conversation
        Conversation.objects.filter(pk=conversation.pk).update(model=model)
    return asked


def begin_sent(
    asked: Asked,
    conversation: Conversation,
    claim: Claim,
    *,
    content: str,
    parent_id: UUID | Place | None,
) -> TurnRef:
    """Add a message under `parent_id` and begin its answer."""
    recent = transcript.newest(conversation.id)
    if isinstance(parent_id, Place):
        parent_id = recent[0].id if recent else None
    elif parent_id is not None:
        _check_parent(asked.user, conversation, parent_id, recent)
    context = context_of(asked, conversation, leaf=parent_id, recent=recent, content=content)
    message = Message(
        conversation=conversation,
        parent_id=parent_id,
        role=Message.Role.USER,
        content=content,
        position=conversation.last_position - 1,
    )
    siblings = transcript.siblings(conversation.id, parent_id, Message.Role.USER, recent)
    return begin_answer(
        asked,
        conversation,
        context,
        claim=claim,
        user_message=message,
        user_siblings=[*siblings, message.id],
        siblings=[],
    )


def begin_again(
    asked: Asked, conversation: Conversation, claim: Claim, question: Message
) -> TurnRef:
    """Begin one more answer to a message that has some."""
    recent = transcript.newest(conversation.id)
    context = context_of(asked, conversation, leaf=question.id, recent=recent, content=None)
    assistant, user = Message.Role.ASSISTANT, Message.Role.USER
    return begin_answer(
        asked,
        conversation,
        context,
        claim=claim,
        user_message=question,
        user_siblings=transcript.siblings(conversation.id, question.parent_id, user, recent),
        siblings=transcript.siblings(conversation.id, question.id, assistant, recent),
    )


def answer_to_repeat(caller: Caller, message_id: UUID) -> Message:
    """The answer that is to be given once more; raises NotFound, Invalid."""
    message = Message.objects.visible_to(caller.user).filter(pk=message_id).first()
    if message is None:
        raise NotFound()
    if message.role != Message.Role.ASSISTANT or message.parent_id is None:
        raise Invalid(_("Only an answer to a message can be regenerated."))
    return message


def _check_parent(
    user: User,
    conversation: Conversation,
    parent_id: UUID,
    recent: list[transcript.Loaded],
) -> None:
    if any(each.id == parent_id for each in recent):
        return
    parent = Message.objects.visible_to(user).filter(pk=parent_id).only("conversation").first()
    if parent is None:
        raise NotFound()
    if parent.conversation_id != conversation.id:
        raise Invalid.field("parent_id", _("This message is in another conversation."))
