"""Serializer fields that refuse what the database cannot hold."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from common.errors import Invalid
from common.text import check_json, is_sound


class TextField(serializers.CharField):
    """Text as it was written: nothing is trimmed, unless `trim_whitespace` asks for it.

    NUL and lone surrogates are refused, and so is text of nothing but white space unless
    `allow_blank`. `max_length` counts code points.
    """

    default_error_messages = {
        "unsound": _("Text may not hold NUL or half a surrogate pair."),
        "text": _("This must be text."),
    }

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str):
            if not is_sound(data):
                self.fail("unsound")
            if not self.allow_blank and not data.strip():
                self.fail("blank")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):  # DRF would take numbers too
            self.fail("text")
        return super().to_internal_value(data)


class JSONObjectField(serializers.DictField):
    """An object of anything that JSON has, sound in every text and key of it."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value: dict[str, Any] = super().to_internal_value(data)
        try:
            check_json(value)
        except Invalid as exc:
            raise serializers.ValidationError(str(exc)) from None
        return value
