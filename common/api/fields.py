"""Serializer fields that take the very type, and refuse what the database cannot hold."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from common.errors import Invalid
from common.text import check_json, is_line, is_sound


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


class LineField(TextField):
    """A name that people see: one line of visible characters."""

    default_error_messages = {
        "unseen": _("A name is one line of visible characters, without marks of direction.")
    }

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # After the validators: nothing that is too long is looked through (R4).
        line = super().run_validation(data)
        if line and not is_line(line):
            self.fail("unseen")
        return line


class IdField(serializers.UUIDField):
    """An id as we write it: text, never a number."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        value: UUID = super().to_internal_value(data)
        return value


class SwitchField(serializers.BooleanField):
    """true or false, and no word for them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class WholeNumberField(serializers.IntegerField):
    """A number, and no text or truth value that could be read as one."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class NullIsAbsent(serializers.Field):  # type: ignore[type-arg]
    """Mixed into an optional field: null is the same as leaving it out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.allow_null = not self.required  # what the schema tells

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        is_absent = data is None and not self.required
        found: tuple[bool, Any] = super().validate_empty_values(
            serializers.empty if is_absent else data
        )
        return found


class JSONObjectField(serializers.DictField):
    """An object of anything that JSON has, sound in every text and key of it."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value: dict[str, Any] = super().to_internal_value(data)
        try:
            check_json(value)
        except Invalid as exc:
            raise serializers.ValidationError(str(exc)) from None
        return value
