from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.commands import Answer, CliCommand, Refused
from config.backups import making


class Command(CliCommand):
    about = gettext_lazy(
        "Write the database into one file, as it is at one moment, while servers run and write.\n"
        "Encryption keys are not in it: keep them apart (DATA_DIR/secrets.json, or your .env)."
    )
    examples = (
        "manage.py backup parley.tar.gz",
        "manage.py backup /backups/                  a name with the time in it",
        "manage.py backup parley.tar                 not compressed",
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help=_("A file that is not there yet, or a folder."))

    def run(self, *, path: Path, **options: Any) -> Answer:
        try:
            written, manifest = making.back_up(path.absolute())
        except DatabaseError as error:
            raise Refused(f"DATABASE_URL: {str(error).splitlines()[0]}") from error
        except OSError as error:
            # Not the file that the error names: a draft of ours, under a name nobody gave.
            raise Refused(f"{path}: {error.strerror}") from error
        return {
            "path": str(written),
            "bytes": written.stat().st_size,
            "database": manifest.database,
            "tables": len(manifest.tables),
            "rows": manifest.rows,
            "made_at": manifest.made_at,
        }
