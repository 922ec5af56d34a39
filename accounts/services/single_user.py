"""SINGLE_USER: whoever asks from this very machine is its one person, and need not sign in (S20).

Everybody else signs in as always, also that person from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from accounts.models import User
from common.addresses import is_direct_loopback
from common.origins import has_own_host, is_site, origin_of
from common.request_headers import header

# What browsers say of a request that another page had a hand in.
_FROM_ANOTHER_PAGE = frozenset({"cross-site", "same-site"})


def owner_at(scope_or_meta: Mapping[str, Any]) -> User | None:
    """Who asks, where nobody said it: the owner, at home and while there is nobody else.

    A key in a header that we do not read is no "nobody": it would get all of the owner's rights
    there, whatever its scopes (K3).
    """
    if not is_at_home(scope_or_meta) or header(scope_or_meta, "x-api-key"):
        return None
    everybody = list(User.objects.order_by("id")[:2])
    if len(everybody) != 1 or not (everybody[0].is_active and everybody[0].is_superuser):
        return None
    return everybody[0]


def is_at_home(scope_or_meta: Mapping[str, Any]) -> bool:
    """Is this a program on this machine, or a page of ours in a browser on it?

    With ALLOWED_HOSTS=* or with a proxy on this machine nobody can tell.
    """
    if not settings.SINGLE_USER or "*" in settings.ALLOWED_HOSTS or settings.TRUSTED_PROXIES:
        return False
    origin = origin_of(scope_or_meta)
    return (
        is_direct_loopback(scope_or_meta)
        and has_own_host(scope_or_meta)
        and (origin is None or is_site(origin, scope_or_meta))
        and header(scope_or_meta, "sec-fetch-site") not in _FROM_ANOTHER_PAGE
    )
