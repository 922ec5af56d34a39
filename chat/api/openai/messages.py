"""The messages of a request, each made anew from what is known: nothing else reaches a provider.

Addresses of images pass as text; nobody here asks for what they name (O10).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from chat.api.openai import fields
from common.errors import Invalid
from common.text import excerpt

_ROLES = ("developer", "system", "user", "assistant", "tool")
_DETAILS = ("auto", "low", "high")
_ID_CHARACTERS = 256
_NAME_CHARACTERS = 128
_WEB = re.compile(r"https?://\S+", re.IGNORECASE)
_DATA = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,", re.IGNORECASE)

# Reads one part of a content, given the path by which a wrong one is refused.
_Part = Callable[[dict[str, Any], str], dict[str, Any]]


def read_messages(value: Any) -> list[dict[str, Any]]:
    """The messages, in OpenAI's shape. Raises Invalid that names the first wrong one."""
    found = fields.items(value, "messages")
    return [_message(each, f"messages[{number}]") for number, each in enumerate(found)]


def read_function_name(function: dict[str, Any], where: str) -> str:
    name = fields.text(function.get("name"), f"{where}.name", most=_NAME_CHARACTERS)
    if not name:
        raise Invalid.field(f"{where}.name", _("This may not be empty."))
    return name


def _message(value: Any, where: str) -> dict[str, Any]:
    sent = fields.mapping(value, where)
    role = fields.word(sent.get("role"), f"{where}.role", _ROLES)
    made = {"role": role}
    if sent.get("name") is not None:
        made["name"] = fields.text(sent["name"], f"{where}.name", most=_NAME_CHARACTERS)
    if role == "assistant":
        return made | _answer(sent, where)
    if role == "tool":
        call_id = fields.text(
            sent.get("tool_call_id"), f"{where}.tool_call_id", most=_ID_CHARACTERS
        )
        made["tool_call_id"] = call_id
    kinds = _PARTS if role == "user" else _TEXT_PARTS
    return made | {"content": _content(sent.get("content"), f"{where}.content", kinds)}


def _answer(sent: dict[str, Any], where: str) -> dict[str, Any]:
    """What a model said before: text, calls of tools, or both."""
    made: dict[str, Any] = {}
    for name in ("refusal", "reasoning_content"):
        if sent.get(name) is not None:
            made[name] = fields.text(sent[name], f"{where}.{name}")
    if sent.get("function_call") is not None:
        raise fields.not_here(f"{where}.function_call", "function_call")
    if sent.get("tool_calls") is not None:
        calls = fields.items(
            sent["tool_calls"], f"{where}.tool_calls", most=settings.PROVIDER_TOOL_CALLS
        )
        made["tool_calls"] = [
            _call(each, f"{where}.tool_calls[{number}]") for number, each in enumerate(calls)
        ]
    if sent.get("content") is None and made.keys() & {"tool_calls", "refusal"}:
        return made | {"content": None}
    return made | {"content": _content(sent.get("content"), f"{where}.content", _SAID_PARTS)}


def _call(value: Any, where: str) -> dict[str, Any]:
    sent = fields.mapping(value, where)
    if sent.get("type", "function") != "function":
        raise fields.not_here(f"{where}.type", excerpt(sent["type"]))
    function = fields.mapping(sent.get("function"), f"{where}.function")
    return {
        "id": fields.text(sent.get("id"), f"{where}.id", most=_ID_CHARACTERS),
        "type": "function",
        "function": {
            "name": read_function_name(function, f"{where}.function"),
            "arguments": fields.text(function.get("arguments"), f"{where}.function.arguments"),
        },
    }


def _content(value: Any, where: str, kinds: dict[str, _Part]) -> str | list[dict[str, Any]]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise Invalid.field(where, _("This must be text or a list of parts."))
    parts = []
    for number, each in enumerate(fields.items(value, where)):
        place = f"{where}[{number}]"
        sent = fields.mapping(each, place)
        kind = sent.get("type")
        read = kinds.get(kind) if isinstance(kind, str) else None
        if read is None:
            raise fields.not_here(f"{place}.type", excerpt(kind))
        parts.append(read(sent, place))
    return parts


def _text(sent: dict[str, Any], where: str) -> dict[str, Any]:
    return {"type": "text", "text": fields.text(sent.get("text"), f"{where}.text")}


def _refusal(sent: dict[str, Any], where: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": fields.text(sent.get("refusal"), f"{where}.refusal")}


def _image(sent: dict[str, Any], where: str) -> dict[str, Any]:
    where = f"{where}.image_url"
    image = fields.mapping(sent.get("image_url"), where)
    made = {"url": _address(image.get("url"), f"{where}.url")}
    if image.get("detail") is not None:
        made["detail"] = fields.word(image["detail"], f"{where}.detail", _DETAILS)
    return {"type": "image_url", "image_url": made}


def _address(value: Any, where: str) -> str:
    url = fields.text(value, where)
    if (head := _DATA.match(url)) is not None:
        _check_size(url[head.end() :], where)
    elif len(url) > settings.V1_URL_CHARACTERS or not _WEB.fullmatch(url):
        raise Invalid.field(
            where, _("Use an http(s) address, or a data: URL of a PNG, JPEG, WebP or GIF image.")
        )
    return url


def _check_size(encoded: str, where: str) -> None:
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        raise Invalid.field(where, _("This is not base64.")) from None
    if not 0 < size <= settings.V1_IMAGE_BYTES:
        megabytes = settings.V1_IMAGE_BYTES >> 20
        raise Invalid.field(
            where, _("An image may have at most %(size)d MiB.") % {"size": megabytes}
        )


_TEXT_PARTS: dict[str, _Part] = {"text": _text}
_SAID_PARTS: dict[str, _Part] = {"text": _text, "refusal": _refusal}
_PARTS: dict[str, _Part] = {"text": _text, "image_url": _image}
