"""`manage.py audit_usage`: do the counters of limits agree with the ledger?"""

from __future__ import annotations

import sys
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.commands import Answer, CliCommand, Refused, dump_json, table
from quotas.services import books


class Command(CliCommand):
    about = gettext_lazy("Say whether the counters of limits agree with the ledger of usage.")
    examples = ("manage.py audit_usage", "manage.py audit_usage --repair --format json")

    def add_options(self, parser: Any) -> None:
        parser.add_argument(
            "--repair", action="store_true", help=_("Put wrong counters right by the ledger.")
        )

    def run(self, *, repair: bool, **options: Any) -> Answer:
        """Exit 1 when they disagree and were not repaired."""
        as_json = options["format"] == "json"
        rows = [each.as_row() for each in books.audit(repair=repair)]
        answer = {"agree": not rows, "repaired": repair and bool(rows), "differences": rows}
        if not rows:
            return answer if as_json else _("The counters agree with the ledger.")
        self.stdout.write(dump_json(answer) if as_json else table(rows))
        if repair:
            return None if as_json else _("Put right: %(count)d.") % {"count": len(rows)}
        if as_json:
            sys.exit(1)
        raise Refused(_("The counters disagree with the ledger. To put them right: --repair"))
