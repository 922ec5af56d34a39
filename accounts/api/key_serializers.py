"""What goes in and out of `api-keys`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework import serializers

from accounts.models import ApiKey, Scope
from accounts.services.api_keys import MODEL_CHARACTERS
from common.api.fields import LineField, NullIsAbsent, TextField

_ADDRESS_CHARACTERS = 64


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    scopes = serializers.ListField(child=serializers.CharField())
    models = serializers.ListField(child=serializers.CharField())
    addresses = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "prefix",
            "scopes",
            "models",
            "addresses",
            "expires_at",
            "last_used_at",
            "created_at",
        ]
        read_only_fields = fields


class MadeApiKeySerializer(ApiKeySerializer):
    key = serializers.CharField(help_text="The key itself, told this once.")

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]
        read_only_fields = fields


class TextsField(NullIsAbsent, serializers.ListField):
    def __init__(self, *, max_length: int, characters: int, **kwargs: Any) -> None:
        kwargs |= {"required": False, "max_length": max_length}
        super().__init__(child=TextField(max_length=characters), **kwargs)


class NewApiKeySerializer(serializers.Serializer[dict[str, Any]]):
    """Without `scopes` it may read and chat; empty lists of models and addresses are no bounds."""

    name = LineField(max_length=settings.NAME_CHARACTERS, trim_whitespace=True)
    scopes = TextsField(
        max_length=len(Scope),
        characters=MODEL_CHARACTERS,
        help_text=", ".join(Scope.values),
    )
    models = TextsField(max_length=settings.API_KEY_MODELS, characters=MODEL_CHARACTERS)
    addresses = TextsField(max_length=settings.API_KEY_ADDRESSES, characters=_ADDRESS_CHARACTERS)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
