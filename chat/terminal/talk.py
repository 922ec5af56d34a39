"""One person's talk: which conversation, which model. Everything here may wait for the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Left
from django.utils.translation import gettext as _

from chat.models import Conversation, Message
from chat.services import conversations, turn_requests
from chat.services.messages import branch
from common.errors import Conflict, Invalid, NotFound
from common.text import check_text, excerpt
from models_registry.errors import ModelUnavailable
from models_registry.models import ChatModel, Connection
from models_registry.services.routing import resolve_model

if TYPE_CHECKING:
    from accounts.services.callers import Caller
    from chat.streams.events import TurnRef

LAST = "last"
RECENT = 20
_HEADLINE_CHARACTERS = 60


class Talk:
    """`model` is what answers next; a conversation is made by the first question."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.conversation: Conversation | None = None
        self.system = ""
        self.model: ChatModel | None = None
        # Chosen by the person, and not yet remembered by the conversation.
        self._chosen = ""

    # -- which conversation ----------------------------------------------------------------
    def begin(self) -> None:
        """A new conversation, with the same model."""
        self.conversation, self.system = None, ""

    def open(self, which: str) -> None:
        """Go on with a conversation: its id, or `last`. Raises NotFound, Invalid."""
        mine = Conversation.objects.visible_to(self.caller.user)
        if which == LAST:
            found = mine.filter(archived=False).order_by("-updated_at", "-id").first()
        else:
            found = mine.filter(pk=_conversation_id(which)).first()
        if found is None:
            raise NotFound(_("There is no such conversation."))
        self.conversation, self.system = found, found.system_prompt
        self._chosen = ""
        self.model = self._found(found.model)

    def recent(self) -> list[Conversation]:
        """The newest conversations, each with the beginning of its first `question`."""
        first = Message.objects.filter(conversation=OuterRef("pk"), role=Message.Role.USER)
        question = first.order_by("position").values(start=Left("content", _HEADLINE_CHARACTERS))
        mine = Conversation.objects.visible_to(self.caller.user).filter(archived=False)
        return list(
            mine.annotate(question=Subquery(question[:1])).order_by("-updated_at", "-id")[:RECENT]
        )

    def messages(self, *, limit: int) -> list[dict[str, Any]]:
        """The end of the conversation's active branch, oldest first."""
        if self.conversation is None:
            return []
        return branch(self.caller, self.conversation.pk, limit=limit).messages

    def rename(self, title: str) -> None:
        self._change(title=_checked(title, settings.TITLE_CHARACTERS))

    def instruct(self, system: str) -> None:
        """Set the system prompt, of this conversation or of the one that will be made."""
        self.system = _checked(system, settings.SYSTEM_PROMPT_CHARACTERS)
        if self.conversation is not None:
            self._change(system_prompt=self.system)

    # -- which model -----------------------------------------------------------------------
    def models(self) -> list[ChatModel]:
        usable = ChatModel.objects.usable_by(self.caller.user).select_related("connection")
        return list(usable.order_by("name"))

    def choose(self, name: str | None) -> ChatModel:
        """Answer with this model from now on; None is the default one. Raises NotFound."""
        try:
            self.model = resolve_model(self.caller.user, name)
        except NotFound:
            raise NotFound(self._no_such_model(name or "")) from None
        self._chosen = self.model.name if name else ""
        return self.model

    @property
    def is_offline(self) -> bool:
        """Is the built-in model the one that answers?"""
        return (
            self.model is not None and self.model.connection.provider == Connection.Provider.OFFLINE
        )

    # -- asking ----------------------------------------------------------------------------
    def ask(self, content: str) -> TurnRef:
        """Have `content` answered. Raises what the service raises, in words for a terminal."""
        content = _checked(content, settings.CONTENT_CHARACTERS)
        model = self._model_to_ask()
        if self.conversation is not None:
            started = turn_requests.send_message(
                self.caller, self.conversation.pk, content=content, model=model
            )
        elif self.system:
            started = self._ask_instructed(content, model)
        else:
            started = turn_requests.send_to_new_conversation(
                self.caller, content=content, model=model
            )
        self._reload(started.ref)
        return started.ref

    def ask_again(self, model: str = "") -> TurnRef:
        """Have the last question answered once more. Raises Conflict when there is none."""
        if model:
            self.choose(model)
        last = next(
            (each for each in reversed(self.messages(limit=2)) if each["role"] == "assistant"), None
        )
        if last is None:
            raise Conflict(_("There is no answer to try again."))
        started = turn_requests.regenerate(
            self.caller, last["id"], model=model or self._model_to_ask()
        )
        return started.ref

    def running(self) -> TurnRef | None:
        """The turn that writes the last message just now, whoever started it."""
        last = next(iter(self.messages(limit=1)), None)
        if last is None or last["status"] != Message.Status.STREAMING:
            return None
        return turn_requests.turn_of_message(self.caller, last["id"])

    def _ask_instructed(self, content: str, model: str) -> turn_requests.TurnStarted:
        made = conversations.create_conversation(
            self.caller, model=model, system_prompt=self.system
        )
        try:
            return turn_requests.send_message(self.caller, made.pk, content=content)
        except Exception:
            # A refused question leaves no empty conversation behind.
            conversations.delete_conversation(self.caller, made.pk)
            raise

    def _reload(self, ref: TurnRef) -> None:
        if ref.conversation_id is not None and (self.conversation is None or self._chosen):
            self.conversation = Conversation.objects.get(pk=ref.conversation_id)
            self._chosen = ""

    def _change(self, **fields: Any) -> None:
        if self.conversation is None:
            raise Conflict(_("Ask something first: the conversation begins with it."))
        self.conversation = conversations.change_conversation(
            self.caller, self.conversation.pk, **fields
        )

    def _model_to_ask(self) -> str:
        """The name to send: none where the conversation's own is meant. It may be gone by now."""
        if self._chosen:
            return self._chosen
        if self.conversation is not None and self._found(self.conversation.model) is None:
            raise ModelUnavailable(self._no_such_model(self.conversation.model))
        return ""

    def _found(self, name: str) -> ChatModel | None:
        try:
            return resolve_model(self.caller.user, name or None)
        except (NotFound, ModelUnavailable):
            return None

    def _no_such_model(self, name: str) -> str:
        names = ", ".join(model.name for model in self.models())
        return _("There is no model %(name)s that you may use. There are: %(names)s") % {
            "name": excerpt(name),
            "names": names,
        }


def _conversation_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(
            _("%(text)s is no conversation's id. Use an id of the list, or: last")
            % {"text": excerpt(text)}
        ) from None


def _checked(text: str, most: int) -> str:
    """What serializers do for the wire."""
    if len(text) > most:
        raise Invalid(_("This is too long: %(most)d characters at most.") % {"most": most})
    return check_text(text)
