"""Whose limits are meant, and who may change limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group

from accounts.models import ApiKey, TargetKind, User
from accounts.services import audit, registration
from common.errors import PermissionDenied
from quotas.models import Kind

_TARGETS = {
    Kind.USER: TargetKind.USER,
    Kind.KEY: TargetKind.KEY,
    Kind.INBOX: TargetKind.INBOX,
    Kind.GROUP: TargetKind.ROLE,
    Kind.DEPLOYMENT: TargetKind.DEPLOYMENT,
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom or what a limit applies to; `label` is what the audit trail calls it."""

    kind: Kind
    id: str = ""
    label: str = ""

    @property
    def named(self) -> dict[str, Any]:
        """The columns that say so."""
        return {"kind": self.kind.value, "subject_id": self.id}

    @property
    def target(self) -> audit.Target:
        return audit.Target(_TARGETS[self.kind], self.id, self.label)


DEPLOYMENT = Subject(Kind.DEPLOYMENT)


def person(user: User) -> Subject:
    return Subject(Kind.USER, str(user.pk), user.username)


def role(group: Group) -> Subject:
    return Subject(Kind.GROUP, str(group.pk), group.name)


def api_key(key: ApiKey) -> Subject:
    """Not by its name, which a person wrote: it would outlive them in the audit trail."""
    return Subject(Kind.KEY, str(key.pk), f"{key.prefix}…")


def inbox(inbox_id: UUID, name: str) -> Subject:
    return Subject(Kind.INBOX, str(inbox_id), name)


def check_may(actor: User | None, permission: str) -> None:
    """Raise PermissionDenied unless `actor` has this permission of ours; None, whoever runs the
    deployment, may all."""
    if actor is not None and not actor.has_perm(f"quotas.{permission}"):
        raise PermissionDenied


def group_named(name: str) -> Group:
    """Raises Invalid."""
    (group,) = registration.groups_named([name], field="role")
    return group
