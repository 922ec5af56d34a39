"""What a client may send: one JSON object with a `type` and, if it likes, a `ref`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.utils.translation import gettext as _

from common.errors import AppError, Invalid
from common.jsonbody import parse_json


class BadFrame(Invalid):
    """Not a frame at all, or not one that this address knows. `ref` is what may be echoed."""

    def __init__(self, detail: Any = "", *, ref: str | None = None, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.ref = ref


@dataclass(frozen=True, slots=True)
class Frame:
    type: str
    ref: str | None
    fields: dict[str, Any]


def parse_frame(text: str | None) -> Frame:
    """The frame in a message; None is a binary one. Raises BadFrame (W9)."""
    if text is None:
        raise BadFrame(_("Send text frames."))
    try:
        fields = parse_json(text.encode())
    except Invalid as refusal:
        raise BadFrame(str(refusal)) from None
    if not isinstance(fields, dict):
        raise BadFrame(_("A frame is a JSON object."))
    kind = fields.pop("type", None)
    ref: str | None = None
    if (sent := fields.pop("ref", None)) is not None:
        ref = _checked_ref(sent)
    if not isinstance(kind, str):
        raise BadFrame(_("A frame has a type."), ref=ref)
    return Frame(kind, ref, fields)


def _checked_ref(ref: Any) -> str:
    most = settings.SOCKET_REF_CHARACTERS
    if isinstance(ref, str) and 1 <= len(ref) <= most:
        return ref
    raise BadFrame(_("A ref is text of 1 to %(count)d characters.") % {"count": most})


def error_frame(error: AppError, ref: str | None) -> dict[str, Any]:
    """`error` as a frame: what a problem document says, without its HTTP part."""
    problem = error.as_problem()
    frame = {"type": "error", "ref": ref, "code": problem["code"], "detail": problem["detail"]}
    if error.errors:
        frame["errors"] = problem["errors"]
    if error.retry_after is not None:
        frame["retry_after"] = int(error.headers()["Retry-After"])
    return frame | error.extra


def with_ref(data: bytes, ref: str | None) -> bytes:
    """A ready event, and in it the `ref` of the frame that it answers."""
    if ref is None:
        return data
    return data[:-1] + b',"ref":' + orjson.dumps(ref) + b"}"
