from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.commands import Answer, CliCommand, Refused, confirm
from config.backups import making


class Command(CliCommand):
    about = gettext_lazy(
        "Put a backup in place of the database. Stop the server and its workers first.\n"
        "The old database is kept beside the new one. Everybody has to sign in again."
    )
    examples = (
        "manage.py restore parley.tar.gz",
        "manage.py restore parley.tar.gz --yes --format json",
    )
    requires_system_checks = ()  # they may ask a database that is what is to be mended

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help=_("The file that backup wrote."))
        parser.add_argument("--yes", action="store_true", help=_("Do not ask."))

    def run(self, *, path: Path, yes: bool, **options: Any) -> Answer:
        path = path.absolute()
        manifest = making.look_at(path)
        if not yes:
            question = _("Replace the database by the one of %(made_at)s (%(rows)d rows)?")
            confirm(question % {"made_at": manifest.made_at, "rows": manifest.rows})
        try:
            restored = making.restore(path)
        except DatabaseError as error:
            raise Refused(f"DATABASE_URL: {str(error).splitlines()[0]}") from error
        except OSError as error:
            raise Refused(f"{error.filename or path}: {error.strerror}") from error
        return {
            "restored": str(path),
            "made_at": manifest.made_at,
            "parley": manifest.parley,
            "rows": manifest.rows,
            "kept": restored.kept or None,
        }
