"""All that is a person's, in one zip file that is written while it is sent (R8)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import ApiKey, AuditEntry, SignIn
from accounts.services.people import roles_of
from chat.models import Share
from chat.services import exports
from chat.streams.events import timestamp
from common.csv_files import as_csv
from common.models import Record
from common.money import as_decimal
from models_registry.models import ChatModel, Connection
from quotas.models import UsageRecord

if TYPE_CHECKING:
    from accounts.models import User

_Row = TypeVar("_Row", bound=Record)

_README = b"""Everything that Parley keeps of you.

profile.json            who you are here
conversations/ID.json   a conversation with all its branches; POST conversations/import takes it
conversations/ID.md     the same, to be read
shares.json             which conversations you made public
usage.json              what your turns used
usage.csv               the same, for spreadsheets
connections.json        your own connections to providers, without their keys
models.json             your own models
sessions.json           the devices you signed in on
api_keys.json           your API keys, without the keys themselves
records.json            what was recorded of what you did
"""


class _Outlet(io.RawIOBase):
    """Takes what a zip file writes, and gives it away."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written.append(bytes(data))
        return len(self._written[-1])

    def taken(self) -> bytes:
        data = b"".join(self._written)
        self._written.clear()
        return data


def archive_of(user: User) -> Iterator[bytes]:
    """The zip file, in pieces."""
    outlet = _Outlet()
    now = timezone.now().timetuple()[:6]
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, chunks in _entries(user):
            entry = zipfile.ZipInfo(name, date_time=now)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                for chunk in chunks:
                    file.write(chunk)
                    yield outlet.taken()
            yield outlet.taken()
    yield outlet.taken()


def _entries(user: User) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Named by ids: what a person typed is no file name (A10)."""
    yield "README.txt", [_README]
    yield "profile.json", [orjson.dumps(_profile(user), option=orjson.OPT_INDENT_2) + b"\n"]
    for conversation in exports.every_conversation_of(user):
        yield f"conversations/{conversation.id}.json", exports.as_json([conversation])
        yield f"conversations/{conversation.id}.md", exports.as_markdown(conversation)
    yield "shares.json", _listed(Share.objects.visible_to(user), _share)
    yield "usage.json", _listed(UsageRecord.objects.filter(user_id=user.pk), _use)
    yield "usage.csv", _sheet(UsageRecord.objects.filter(user_id=user.pk), _use)
    yield "connections.json", _listed(Connection.objects.filter(owner=user), _connection)
    yield "models.json", _listed(ChatModel.objects.filter(owner=user), _model)
    yield "sessions.json", _listed(user.sign_ins.all(), _sign_in)
    yield "api_keys.json", _listed(user.api_keys.all(), _key)
    yield "records.json", _listed(AuditEntry.objects.filter(actor_id=user.pk), _entry)


def _listed(rows: QuerySet[_Row], fields_of: Callable[[_Row], dict[str, Any]]) -> Iterator[bytes]:
    """A list of objects, one a line, the oldest first; read page by page."""
    yield b"["
    is_first = True
    for page in exports.pages_of(rows):
        lines = [orjson.dumps(fields_of(each)) for each in page]
        yield (b"\n" if is_first else b",\n") + b",\n".join(lines)
        is_first = False
    yield b"\n]\n"


def _sheet(rows: QuerySet[_Row], fields_of: Callable[[_Row], dict[str, Any]]) -> Iterator[bytes]:
    """A table with a heading, where there is any row; the oldest first."""
    names: list[str] = []
    for page in exports.pages_of(rows):
        table = [fields_of(each) for each in page]
        heading = [] if names else list(table[0])
        names = names or heading
        yield as_csv(table, names, with_heading=bool(heading)).encode()


def _profile(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "display_name": user.display_name,
        "language": user.language,
        "timezone": user.timezone,
        "roles": roles_of(user),
        "preferences": user.preferences,
        "created_at": timestamp(user.created_at),
    }


def _share(share: Share) -> dict[str, Any]:
    """Its address is not kept here, and so not told."""
    return {
        "id": share.pk,
        "conversation_id": share.conversation_id,
        "title": share.title,
        "created_at": timestamp(share.created_at),
    }


def _use(record: UsageRecord) -> dict[str, Any]:
    return {
        "started_at": timestamp(record.started_at),
        "purpose": record.purpose,
        "model": record.model,
        "answered_by": record.answered_by,
        "outcome": record.outcome,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cost": as_decimal(record.cost),
        "estimated": record.estimated,
        "seconds": record.seconds,
    }


def _connection(connection: Connection) -> dict[str, Any]:
    """Without the key, which never comes out."""
    return {
        "id": connection.pk,
        "provider": connection.provider,
        "name": connection.name,
        "base_url": connection.base_url,
        "enabled": connection.enabled,
        "created_at": timestamp(connection.created_at),
    }


def _model(model: ChatModel) -> dict[str, Any]:
    return {
        "id": model.pk,
        "name": model.name,
        "display_name": model.display_name,
        "upstream_name": model.upstream_name,
        "connection": model.connection_id,
        "enabled": model.enabled,
        "created_at": timestamp(model.created_at),
    }


def _sign_in(sign_in: SignIn) -> dict[str, Any]:
    return {
        "id": sign_in.pk,
        "client": sign_in.client,
        "address": sign_in.address,
        "created_at": timestamp(sign_in.created_at),
        "last_used_at": timestamp(sign_in.last_used_at),
        "revoked_at": timestamp(sign_in.revoked_at),
    }


def _key(key: ApiKey) -> dict[str, Any]:
    """Without its digest, by which it would be recognised."""
    return {
        "id": key.pk,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "models": key.models,
        "addresses": key.addresses,
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp(key.expires_at),
        "last_used_at": timestamp(key.last_used_at),
        "revoked_at": timestamp(key.revoked_at),
    }


def _entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": timestamp(entry.created_at),
        "action": entry.action,
        "target_kind": entry.target_kind,
        "target_id": entry.target_id,
        "address": entry.address,
        "client": entry.client,
    }
