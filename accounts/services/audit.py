"""The audit trail: one function that services call, in the transaction of what they record."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import AuditAction, AuditEntry, TargetKind, User
from accounts.models.audit import LABEL_CHARACTERS
from common import sources
from common.errors import NotFound
from common.statements import insert
from common.text import printable

Fields = Mapping[str, Any]

# Words that no recorded field may have in its name: what they hold is never written down.
_NEVER = frozenset({"password", "secret", "token", "key", "email", "hash"})


@dataclass(frozen=True, slots=True)
class Target:
    """What something was done to: of what kind it is, its id, and what it is called.

    What people wrote for themselves (titles, names of personal things) is no label: it would
    outlive its writer here.
    """

    kind: TargetKind | None
    id: object = ""
    label: str = ""


NOTHING = Target(None)


def person(user: User) -> Target:
    return Target(TargetKind.USER, user.pk, user.username)


def record(
    action: AuditAction,
    *,
    actor: User | None,
    target: Target = NOTHING,
    before: Fields | None = None,
    after: Fields | None = None,
) -> None:
    """Add one entry; where it comes from is what `common.sources` says.

    Call it inside the transaction of the change, so that there is neither without the other.
    `actor` None is the deployment itself. Of `before` and `after`, where both are given, only
    what differs is kept; where nothing does, nothing happened and nothing is recorded.
    """
    if before is not None and after is not None:
        names = [name for name in after if before.get(name) != after[name]]
        if not names:
            return
        before = {name: before.get(name) for name in names}
        after = {name: after[name] for name in names}
    source = sources.current()
    insert(
        AuditEntry(
            action=action.value,
            actor_id=actor.pk if actor else None,
            actor_name=actor.username if actor else "",
            target_kind=target.kind.value if target.kind else "",
            target_id=str(target.id),
            target_label=printable(target.label)[:LABEL_CHARACTERS],
            before=_plain(before),
            after=_plain(after),
            address=source.address,
            client=source.client,
            request_id=source.request_id,
        )
    )


def about(entries: QuerySet[AuditEntry], wanted: UUID) -> QuerySet[AuditEntry]:
    """Those that have this id, or that somebody or something with it did or was done to."""
    return entries.filter(Q(pk=wanted) | Q(actor_id=wanted) | Q(target_id=str(wanted)))


def id_of(text: str) -> UUID:
    """An id as it is, a person's by their name or e-mail. Raises NotFound."""
    with suppress(ValueError):
        return UUID(text)
    user = User.objects.named(text).first()
    if user is None:
        raise NotFound(_("There is nobody of that name."))
    return user.pk


def forget_person(user_id: UUID) -> None:
    """Leave nothing of an erased person but the id, in the transaction that erases them."""
    AuditEntry.objects.forget_person(user_id)


def outlived() -> QuerySet[AuditEntry]:
    """Entries older than AUDIT_DAYS, and an hour for a database whose clock is late: its trigger
    lets no younger one go."""
    bound = timezone.now() - timedelta(days=settings.AUDIT_DAYS, hours=1)
    return AuditEntry.objects.filter(created_at__lt=bound)


def drop(entries: QuerySet[Any, Any]) -> None:
    """Delete what is `outlived`, past our own queryset, which deletes nothing."""
    QuerySet.delete(entries)


def _plain(fields: Fields | None) -> dict[str, Any]:
    """The fields as JSON has them; raises ValueError for one that may hold a secret."""
    if not fields:
        return {}
    for name in fields:
        if _NEVER & set(name.split("_")):
            raise ValueError(f"{name} is never recorded")
    plain: dict[str, Any] = orjson.loads(orjson.dumps(dict(fields), default=str))
    return plain
