"""One file: a tar of what was dumped, and last the manifest, which a file that broke off lacks."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from django.utils.translation import gettext as _

from common.errors import Invalid

FORMAT = 1
MANIFEST = "manifest.json"

_MANIFEST_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` in the order of the dump; empty where a database was copied whole."""

    rows: int
    columns: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Member:
    bytes: int
    sha256: str


@dataclass(slots=True)
class Manifest:
    """What is in a backup. `migrations` are the names that its database had applied."""

    parley: str
    made_at: str
    database: str
    migrations: list[tuple[str, str]]
    tables: dict[str, Table] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


class Writer:
    """Takes files into the archive, one by one."""

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self._tar = tar
        self._manifest = manifest

    def add(self, path: Path, name: str) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._manifest.members[name] = Member(path.stat().st_size, digest)
        self._tar.add(path, arcname=name, filter=_anonymous)


@contextmanager
def writing(path: Path, manifest: Manifest) -> Iterator[Writer]:
    """An archive that stands under its name when it is whole, or not at all."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        mode = "w:gz" if path.suffix in {".gz", ".tgz"} else "w"
        with os.fdopen(handle, "wb") as file:
            with tarfile.open(fileobj=file, mode=mode) as tar:  # type: ignore[call-overload]
                yield Writer(tar, manifest)
                _add_manifest(tar, manifest)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)


def _add_manifest(tar: tarfile.TarFile, manifest: Manifest) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(asdict(manifest), indent=1).encode())
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = file.tell(), 0o600
        file.seek(0)
        tar.addfile(info, file)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


class Reader:
    """An archive that is open, and what it says of itself."""

    def __init__(self, tar: tarfile.TarFile, path: Path) -> None:
        self._tar = tar
        self._path = path
        self.manifest = _read_manifest(tar)

    def extract(self, name: str, path: Path) -> None:
        """Write one member to `path`; raises Invalid when it is not what was put in."""
        member = self.manifest.members.get(name)
        digest, size = hashlib.sha256(), 0
        with path.open("wb") as target:
            for chunk in self._pieces(name):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
        if member is None or (size, digest.hexdigest()) != (member.bytes, member.sha256):
            raise damaged()

    @contextmanager
    def extracted(self, name: str) -> Iterator[IO[bytes]]:
        """One member as a file that was checked, for as long as the block runs."""
        with tempfile.NamedTemporaryFile(dir=self._path.parent) as file:
            self.extract(name, Path(file.name))
            yield file.file

    def _pieces(self, name: str) -> Iterator[bytes]:
        with _told_of(self._path):
            source = self._tar.extractfile(name)
            if source is None:
                raise damaged()
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Raises Invalid for what is no backup, or a damaged one."""
    with ExitStack() as stack:
        with _told_of(path):
            reader = Reader(stack.enter_context(tarfile.open(path, "r:*")), path)
        yield reader


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """What reading the file fails with, and nothing that is done with it meanwhile."""
    try:
        yield
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
        raise damaged() from error
    except OSError as error:
        # gzip says so of a file that is cut or changed, too.
        if error.errno is None:
            raise damaged() from error
        raise Invalid(f"{path}: {error.strerror}") from error


def _read_manifest(tar: tarfile.TarFile) -> Manifest:
    member = tar.getmember(MANIFEST)
    file = tar.extractfile(member)
    if file is None or member.size > _MANIFEST_BYTES:
        raise damaged()
    found: dict[str, Any] = json.load(file)
    if found.pop("format") != FORMAT:
        raise Invalid(_("A newer Parley made this backup. Restore it with that version."))
    return Manifest(
        parley=str(found["parley"]),
        made_at=str(found["made_at"]),
        database=str(found["database"]),
        migrations=[(str(app), str(name)) for app, name in found["migrations"]],
        tables={str(name): Table(**table) for name, table in found["tables"].items()},
        members={str(name): Member(**member) for name, member in found["members"].items()},
    )


def damaged() -> Invalid:
    return Invalid(_("This is not a backup, or it is damaged. Nothing was changed."))
