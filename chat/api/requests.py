"""What a request says beside its body: the key, the position, the kind of answer."""

from __future__ import annotations

import re
from uuid import UUID

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.utils.mediatypes import media_type_matches

from chat.api.serializers import IdempotencyKeyField
from common.api import query
from common.errors import Invalid
from common.sse import MEDIA_TYPE

_POSITION = re.compile(r"-?[0-9]{1,18}")
_FROM_START = -1


def idempotency_key(request: Request) -> str:
    """The header, "" when none was sent; raises Invalid for one that is no key (I8)."""
    sent = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if sent is None:
        return ""
    try:
        # Header bytes arrive as latin-1; as UTF-8 they are the key that a frame would hold.
        key = sent.encode("latin-1").decode()
        return str(IdempotencyKeyField().run_validation(key))
    except (UnicodeError, ValidationError):
        raise Invalid.field("Idempotency-Key", _("Use 1 to 255 printable characters.")) from None


def wants_stream(request: Request) -> bool:
    """Does the caller ask for an event stream before JSON?"""
    return bool(request.accepted_renderer.media_type == MEDIA_TYPE)


def takes_stream(request: Request) -> bool:
    """Would the caller take an event stream at all? Many list JSON first and `*/*` last."""
    accepted = request.META.get("HTTP_ACCEPT") or "*/*"
    return any(media_type_matches(MEDIA_TYPE, each.strip()) for each in accepted.split(","))


def position(request: Request, message_id: UUID) -> int:
    """What the reader has already: `Last-Event-ID`, else `?after=`; -1 is nothing (E6).

    An id of another message, or none of ours, is nothing too. Raises Invalid for an `after`
    that is no number.
    """
    last = request.META.get("HTTP_LAST_EVENT_ID")
    if last is not None:
        owner, _colon, seq = last.partition(":")
        if owner != str(message_id) or not _POSITION.fullmatch(seq):
            return _FROM_START
        return max(_FROM_START, int(seq))
    after = query.given(request, "after")
    if after is None:
        return _FROM_START
    if not _POSITION.fullmatch(after):
        raise Invalid.field("after", _("Use the number of an event."))
    return max(_FROM_START, int(after))
