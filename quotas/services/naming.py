"""What those are called whom limits and the ledger name by their ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

from django.contrib.auth.models import Group
from django.utils.translation import gettext as _

from accounts.models import ApiKey, Role, User
from quotas.models import Kind

Named = Mapping[tuple[str, str], str]


def names_of(subjects: Iterable[tuple[str, str]]) -> Named:
    """Names of (kind, id), one query for each kind; of those who are gone, the id."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for kind, subject_id in subjects:
        wanted[kind].add(subject_id)
    names = {(kind, each): each for kind, ids in wanted.items() for each in ids}
    for kind, ids in wanted.items():
        names |= {(kind, each): name for each, name in _found(kind, ids).items()}
    return names


def _found(kind: str, ids: set[str]) -> dict[str, str]:
    if kind == Kind.USER:
        people = User.objects.get_queryset().filter(pk__in=_uuids(ids))
        return {str(pk): name for pk, name in people.values_list("pk", "username")}
    if kind == Kind.KEY:
        keys = ApiKey.objects.filter(pk__in=_uuids(ids))
        rows = keys.values_list("pk", "prefix", "user__username")
        return {str(pk): f"{prefix}… ({owner})" for pk, prefix, owner in rows}
    if kind == Kind.GROUP:
        groups = Group.objects.filter(pk__in=[int(each) for each in ids if each.isdecimal()])
        return {str(pk): Role.told(name) for pk, name in groups.values_list("pk", "name")}
    if kind == Kind.DEPLOYMENT:
        return dict.fromkeys(ids, _("everybody together"))
    return {}


def _uuids(ids: set[str]) -> list[UUID]:
    found = []
    for each in ids:
        try:
            found.append(UUID(each))
        except ValueError:
            continue
    return found
