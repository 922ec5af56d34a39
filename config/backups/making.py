"""A backup, and the way back (F19)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from common import restoring, schema_state
from common.errors import Conflict, Invalid
from config.backups import archive, postgresql, sqlite
from config.backups.archive import Manifest
from config.start import CannotStart, only_server, prepare_folder

_KINDS: dict[str, ModuleType] = {"sqlite": sqlite, "postgresql": postgresql}
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Restored:
    """`kept` is where the database from before lies, "" where there was none."""

    manifest: Manifest
    kept: str


def back_up(path: Path) -> tuple[Path, Manifest]:
    """Write a backup to `path`, or under a name of its own into that folder.

    The database as it is at one moment, without encryption keys, cookies and mailed links. Servers
    go on meanwhile. Raises Conflict when there is such a file.
    """
    if path.is_dir():
        path /= f"parley-{_stamp()}.tar.gz"
    if path.exists():
        raise Conflict(_("%(path)s is there already.") % {"path": path})
    manifest = Manifest(settings.VERSION, timezone.now().isoformat(), connection.vendor, [])
    with (
        archive.writing(path, manifest) as writer,
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".parley-backup-") as folder,
    ):
        _KINDS[connection.vendor].dump(writer, manifest, Path(folder))
    return path, manifest


def look_at(path: Path) -> Manifest:
    """What a backup says of itself; raises Invalid when this Parley cannot restore it."""
    with archive.reading(path) as reader:
        manifest = reader.manifest
    if manifest.database != connection.vendor:
        kinds = {"theirs": _NAMES.get(manifest.database, "?"), "ours": _NAMES[connection.vendor]}
        raise Invalid(_("This backup is of %(theirs)s, and DATABASE_URL names %(ours)s.") % kinds)
    unknown = schema_state.compare(
        frozenset(manifest.migrations), schema_state.of_the_code()
    ).unknown
    if unknown:
        told = {"version": manifest.parley, "names": ", ".join(unknown)}
        raise Invalid(
            _("Parley %(version)s made this backup, which is newer: it has %(names)s.") % told
        )
    return manifest


def restore(path: Path) -> Restored:
    """Put the backup in place of the database, which is kept. Nobody is signed in afterwards.

    Raises Invalid for what cannot be restored, Conflict while a server runs. Whatever ends this
    before its end, the old database is untouched.
    """
    manifest = look_at(path)
    with archive.reading(path) as reader:
        try:
            prepare_folder()
        except CannotStart as error:
            raise Conflict(str(error)) from error
        try:
            lock = only_server()
        except CannotStart as error:
            raise Conflict(_("A server runs on this data. Stop it first.")) from error
        try:
            kept = _KINDS[connection.vendor].restore(
                reader, stamp=f"before-{_stamp()}", migrate=_bring_up_to_date
            )
        finally:
            if lock is not None:
                lock.close()
    return Restored(manifest, kept)


def _bring_up_to_date() -> None:
    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    restoring.begin_epoch()


def _stamp() -> str:
    return timezone.now().strftime("%Y%m%dT%H%M%SZ")
