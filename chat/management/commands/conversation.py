from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.management.callers import caller_named
from accounts.services.callers import Caller
from accounts.services.people import find
from chat.models import Conversation, Turn
from chat.services import exports, messages
from chat.services.conversations import delete_for_owner
from chat.services.importing import import_file
from chat.services.private_reading import record_reading, record_titles
from chat.services.sharing import revoke_share
from chat.services.stopping import stop_for_owner
from common.commands import Answer, CliGroup, Refused, how_many, usage_error
from common.errors import NotFound, PayloadTooLarge
from common.money import as_decimal

# What `list` asks for by these names.
_NARROWED = {
    "archived": Q(archived=True),
    "running": Q(turns__status=Turn.Status.RUNNING),
    "shared": Q(share__isnull=False),
}


class Command(CliGroup):
    about = gettext_lazy("List, show, export, import, stop, unshare and delete conversations.")
    examples = (
        "manage.py conversation list --user mina",
        "manage.py conversation list --search budget",
        'manage.py conversation show 0190… --reason "an answer was cut, ticket 81"',
        "manage.py conversation export 0190… --format markdown "
        '--reason "Mina asked for a copy" > talk.md',
        "manage.py conversation export --user mina --all "
        '--reason "Mina moves to the new server" > mina.json',
        "manage.py conversation import --user mina mina.json",
        "manage.py conversation list --running",
        "manage.py conversation stop 0190… 0191…",
        "manage.py conversation unshare 0190…",
        "manage.py conversation delete 0190… 0191…",
    )

    def add_commands(self) -> None:
        listing = self.add("list", self.list_them, help=_("Conversations, newest activity first."))
        _add_user(listing, _("Only those of this person."))
        listing.add_argument("--archived", action="store_true", help=_("Only archived ones."))
        listing.add_argument(
            "--running", action="store_true", help=_("Only those that are being answered.")
        )
        listing.add_argument("--shared", action="store_true", help=_("Only public ones."))
        listing.add_argument("--search", default="", help=_("Part of the title."))
        _add_reason(listing)
        listing.add_argument(
            "--limit", type=how_many, default=100, help=_("How many at most (100).")
        )
        showing = self.add("show", self.show, help=_("One conversation: its newest messages."))
        showing.add_argument("id", type=UUID, help=_("The conversation."))
        showing.add_argument(
            "--limit", type=how_many, default=20, help=_("How many messages (20).")
        )
        _add_reason(showing)
        exporting = self.add(
            "export",
            self.export,
            help=_(
                "Write conversations to standard output, or to a file: JSON to import, Markdown "
                "to read."
            ),
            formats=("json", "markdown"),
        )
        _add_ids(exporting, "*")
        exporting.add_argument("--all", action="store_true", help=_("All of one person (--user)."))
        _add_user(exporting, _("Whose (with --all)."))
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
        for name, handler, text in (
            ("stop", self.stop, _("Stop the answers that are being written; what came is kept.")),
            ("unshare", self.unshare, _("Make public links lead nowhere.")),
            ("delete", self.delete, _("Delete conversations for good.")),
        ):
            _add_ids(self.add(name, handler, help=text), "+")

    def list_them(
        self,
        *,
        user: str | None,
        search: str,
        reason: str,
        limit: int,
        **options: Any,
    ) -> Answer:
        owner = find(user) if user else None
        found = Conversation.objects.select_related("owner").order_by("-updated_at", "-id")
        if owner:
            found = found.filter(owner=owner)
        if search:
            found = found.filter(title__icontains=search)
        for name, condition in _NARROWED.items():
            if options[name]:
                found = found.filter(condition)
        listed = list(found[: max(limit, 0)])
        record_titles(len(listed), owner=owner, reason=reason)
        return [_row(each) for each in listed]

    def show(
        self,
        *,
        id: UUID,  # noqa: A002 argparse's word
        limit: int,
        reason: str,
        **options: Any,
    ) -> Answer:
        conversation = _found(id)
        record_reading([conversation], actor=None, reason=reason)
        page = messages.branch(_owner_of(conversation), id, limit=max(limit, 1))
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
        format: str | None,  # noqa: A002 argparse's word
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
            if format == "markdown"
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

    def stop(self, *, ids: list[UUID], **options: Any) -> Answer:
        """Those of which nothing is being answered are told with `stopping` False."""
        told = []
        for each in [_found(each) for each in ids]:
            turn = Turn.objects.running().filter(conversation=each).first()
            if turn is not None:
                stop_for_owner(turn, actor=None)
            told.append(
                {
                    "id": str(each.pk),
                    "owner": each.owner.username,
                    "stopping": turn is not None,
                }
            )
        return told

    def unshare(self, *, ids: list[UUID], **options: Any) -> Answer:
        """Those that were not public are told with `unshared` False."""
        return [
            {
                "id": str(each.pk),
                "owner": each.owner.username,
                "unshared": revoke_share(each, actor=None),
            }
            for each in [_found(each) for each in ids]
        ]

    def delete(self, *, ids: list[UUID], **options: Any) -> Answer:
        found = [_found(each) for each in ids]
        for each in found:
            delete_for_owner(each, actor=None)
        return {"deleted": len(found)}


def _add_user(parser: Any, text: str) -> None:
    parser.add_argument("-u", "--user", metavar="NAME", help=text + " " + _("User name or e-mail."))


def _add_reason(parser: Any) -> None:
    parser.add_argument("--reason", default="", help=_("Why it is read; the audit trail keeps it."))


def _add_ids(parser: Any, how_many: str) -> None:
    parser.add_argument(
        "ids", nargs=how_many, type=UUID, metavar="id", help=_("The conversations.")
    )


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
