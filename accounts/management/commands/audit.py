from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import AuditAction, AuditEntry
from accounts.services import audit
from common.commands import Answer, CliGroup, how_many, moment

_AGO = re.compile(r"([0-9]{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Command(CliGroup):
    about = gettext_lazy("Who did what, to what, when and from where.")
    examples = (
        "manage.py audit list --since 24h",
        "manage.py audit list --actor root --action user.roles_changed",
        "manage.py audit list --about mina@example.org --since 2030-01-31 --format json",
    )

    def add_commands(self) -> None:
        listing = self.add("list", self.list_entries, help=_("Entries, the newest first."))
        listing.add_argument("--actor", help=_("Done by this person: user name, e-mail or id."))
        listing.add_argument("--about", help=_("Done by or to this person or id."))
        listing.add_argument(
            "--action", choices=AuditAction.values, metavar="ACTION", help=", ".join(AuditAction)
        )
        listing.add_argument(
            "--since", type=_moment, help=_("A date, a time (ISO 8601), or 30m, 24h, 7d.")
        )
        listing.add_argument(
            "--limit", type=how_many, default=100, help=_("How many at most (100).")
        )

    def list_entries(
        self,
        *,
        actor: str | None,
        about: str | None,
        action: str | None,
        since: datetime | None,
        limit: int,
        **options: Any,
    ) -> Answer:
        found = AuditEntry.objects.get_queryset().order_by("-id")
        if actor:
            found = found.filter(actor_id=audit.id_of(actor))
        if about:
            found = audit.about(found, audit.id_of(about))
        if action:
            found = found.filter(action=action)
        if since:
            found = found.filter(created_at__gte=since)
        return [_row(entry) for entry in found[: max(limit, 0)]]


def _moment(text: str) -> datetime:
    if ago := _AGO.fullmatch(text):
        return timezone.now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    found = moment(text)
    if found is None:
        raise ArgumentTypeError(_("use a date like 2030-01-31, or 30m, 24h, 7d"))
    return found


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {
        "time": entry.created_at.isoformat(timespec="seconds"),
        "actor": entry.who,
        "action": entry.action,
        "kind": entry.target_kind,
        "target": entry.target_label or entry.target_id,
        "before": entry.before or None,
        "after": entry.after or None,
        "address": entry.address,
        "client": entry.client,
        "request_id": entry.request_id,
        "id": str(entry.pk),
    }
