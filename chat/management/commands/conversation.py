from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.services.callers import Caller
from accounts.services.people import find
from chat.models import Conversation
from chat.services import exports, messages
from chat.services.conversations import delete_for_owner
from chat.services.importing import import_file
from chat.services.private_reading import record_reading
from chat.terminal.people import caller_named
from common.commands import Answer, CliGroup, Refused, usage_error
from common.errors import NotFound, PayloadTooLarge
from common.money import as_decimal


class Command(CliGroup):
    about = gettext_lazy("List, show, export, import and delete conversations.")
    examples = (
        "manage.py conversation list --user mina --search budget",
        "manage.py conversation show 0190… --format json",
        "manage.py conversation export 0190… --markdown > talk.md",
        "manage.py conversation export --user mina --all > mina.json",
        "manage.py conversation import --user mina conversations.json",
        "ssh old manage.py conversation export --user mina --all | "
        "manage.py conversation import --user mina -",
        "manage.py conversation delete 0190… 0191…",
    )

    def add_commands(self) -> None:
        listing = self.add("list", self.list_them, help=_("Conversations, newest activity first."))
        _add_user(listing, _("Only those of this person."))
        listing.add_argument("--search", default="", help=_("Part of the title."))
        listing.add_argument("--archived", action="store_true", help=_("Only archived ones."))
        listing.add_argument("--limit", type=int, default=100, help=_("How many at most (100)."))
        showing = self.add("show", self.show, help=_("One conversation: its newest messages."))
        showing.add_argument("id", type=UUID, help=_("The conversation."))
        showing.add_argument("--limit", type=int, default=20, help=_("How many messages (20)."))
        _add_reason(showing)
        exporting = self.add(
            "export", self.export, help=_("Write conversations to standard output, or to a file.")
        )
        exporting.add_argument(
            "ids", nargs="*", type=UUID, metavar="id", help=_("The conversations.")
        )
        exporting.add_argument("--all", action="store_true", help=_("All of one person (--user)."))
        _add_user(exporting, _("Whose (with --all)."))
        exporting.add_argument(
            "--markdown", action="store_true", help=_("Markdown to read, not JSON to import.")
        )
        exporting.add_argument("-o", "--output", metavar="FILE", help=_("Write here."))
        _add_reason(exporting)
        importing = self.add(
            "import",
            self.import_them,
            help=_("Read Parley's export or ChatGPT's conversations.json."),
        )
        importing.add_argument(
            "file", nargs="?", default="-", help=_("The file (- is standard input).")
        )
        _add_user(importing, _("Whose they will be (the only person there is)."))
        deleting = self.add("delete", self.delete, help=_("Delete conversations for good."))
        deleting.add_argument(
            "ids", nargs="+", type=UUID, metavar="id", help=_("The conversations.")
        )

    def list_them(
        self, *, user: str | None, search: str, archived: bool, limit: int, **options: Any
    ) -> Answer:
        found = Conversation.objects.select_related("owner").order_by("-updated_at", "-id")
        if user:
            found = found.filter(owner=find(user))
        if search:
            found = found.filter(title__icontains=search)
        if archived:
            found = found.filter(archived=True)
        return [_row(each) for each in found[: max(limit, 0)]]

    def show(
        self,
        *,
        id: UUID,  # noqa: A002 argparse's word
        limit: int,
        reason: str,
        **options: Any,
    ) -> Answer:
        conversation = _found(id)
        page = messages.branch(_owner_of(conversation), id, limit=max(limit, 1))
        record_reading([conversation], actor=None, reason=reason)
        return _row(conversation) | {
            "system_prompt": conversation.system_prompt,
            "parameters": conversation.parameters,
            "transcript": [f"{each['role']}: {each['content']}" for each in page.messages],
        }

    def export(
        self,
        *,
        ids: list[UUID],
        all: bool,  # noqa: A002 argparse's word
        user: str | None,
        markdown: bool,
        output: str | None,
        reason: str,
        **options: Any,
    ) -> Answer:
        if all == bool(ids):
            raise usage_error(_("Name conversations, or ask for --all of a person."))
        # Found before the first byte: half a file would look like a whole one.
        wanted = (
            list(exports.every_conversation_of(caller_named(user).user))
            if all
            else [_found(each) for each in ids]
        )
        record_reading(wanted, actor=None, reason=reason)
        pieces = (
            (piece for each in wanted for piece in exports.as_markdown(each))
            if markdown
            else exports.as_json(wanted)
        )
        try:
            with _sink(output) as sink:
                for piece in pieces:
                    sink.write(piece)
        except OSError as error:
            raise Refused(f"{output or 'stdout'}: {error.strerror}") from error
        return None

    def import_them(self, *, file: str, user: str | None, **options: Any) -> Answer:
        summary = import_file(caller_named(user), _read(file)).as_fields()
        found = summary.pop("conversations")
        return {**summary, "ids": [str(each["id"]) for each in found if each["added"]]}

    def delete(self, *, ids: list[UUID], **options: Any) -> Answer:
        found = [_found(each) for each in ids]
        for each in found:
            delete_for_owner(each, actor=None)
        return {"deleted": len(found)}


def _add_user(parser: Any, text: str) -> None:
    parser.add_argument("-u", "--user", metavar="NAME", help=text + " " + _("User name or e-mail."))


def _add_reason(parser: Any) -> None:
    parser.add_argument("--reason", default="", help=_("Why it is read; the audit trail keeps it."))


def _found(conversation_id: UUID) -> Conversation:
    found = Conversation.objects.select_related("owner").filter(pk=conversation_id).first()
    if found is None:
        raise NotFound(_("There is no conversation %(id)s.") % {"id": conversation_id})
    return found


def _owner_of(conversation: Conversation) -> Caller:
    return Caller(conversation.owner, None)


def _read(name: str) -> bytes:
    """The file, or standard input; no more than an upload may have."""
    try:
        with _source(name) as source:
            raw = source.read(settings.IMPORT_BODY_BYTES + 1)
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from error
    if len(raw) > settings.IMPORT_BODY_BYTES:
        raise PayloadTooLarge
    return raw


def _source(name: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")


def _sink(name: str | None) -> AbstractContextManager[BinaryIO]:
    return Path(name).open("wb") if name else nullcontext(sys.stdout.buffer)


def _row(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": str(conversation.pk),
        "owner": conversation.owner.username,
        "title": conversation.title,
        "model": conversation.model,
        "messages": conversation.message_count,
        "tokens": conversation.tokens,
        "cost": as_decimal(conversation.cost),
        "archived": conversation.archived,
        "updated_at": conversation.updated_at.isoformat(timespec="seconds"),
    }
