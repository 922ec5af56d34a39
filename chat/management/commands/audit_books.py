from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.services import books
from chat.turns.reaping import reap
from common.commands import Answer, CliCommand, Refused, dump_json


class Command(CliCommand):
    about = gettext_lazy(
        "Say whether messages, turns, holds, ledger and counters agree with one another.\n"
        "Looks at one moment, changes nothing and keeps nobody waiting. Includes audit_usage."
    )
    examples = ("manage.py audit_books", "manage.py audit_books --wait --format json")

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wait",
            action="store_true",
            help=_("Look for half a minute, too, whether each running turn still moves."),
        )

    def run(self, *, wait: bool, **options: Any) -> Answer:
        """Exit 1 when they disagree."""
        if options["format"] == "json":
            rows = list(_rows(wait=wait))
            self.stdout.write(dump_json({"agree": not rows, "differences": rows}))
            if rows:
                sys.exit(1)
            return None
        count = 0
        for row in _rows(wait=wait):
            count += 1
            found = " ".join(f"{name}={value}" for name, value in row["found"].items())
            self.stdout.write(f"{row['kind']}: {row['says']} {found} {row['remedy']}")
        if count:
            raise Refused(_("The books disagree. Differences: %(count)d.") % {"count": count})
        return _("The books agree.")


def _rows(*, wait: bool) -> Iterator[dict[str, Any]]:
    for each in books.differences():
        yield {
            "kind": each.kind,
            "says": str(each.says),
            "found": {name.replace("__", "_"): value for name, value in each.found.items()},
            "remedy": str(each.remedy),
        }
    if wait:
        for turn_id in asyncio.run(reap(close=False)):
            yield {
                "kind": "turn_without_owner",
                "says": _("A turn runs, but no process moves it on."),
                "found": {"id": turn_id},
                "remedy": _("Run: manage.py reap_turns"),
            }
