"""`api-keys`, extended by limits of the key's own (ARCHITECTURE section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers

from accounts.api.key_serializers import ApiKeySerializer, NewApiKeySerializer
from accounts.api.views.keys import ApiKeyViewSet
from accounts.models import ApiKey, User
from accounts.services.api_keys import NewKey
from quotas.api.serializers import AllowanceSerializer, AllowancesField
from quotas.services import key_limits


class LimitedApiKeySerializer(ApiKeySerializer):
    limits = serializers.SerializerMethodField()

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "limits"]
        read_only_fields = fields

    @extend_schema_field(AllowanceSerializer(many=True))
    def get_limits(self, key: ApiKey) -> Any:
        return AllowanceSerializer(self.context["limits"].get(key.pk, []), many=True).data


class MadeLimitedApiKeySerializer(LimitedApiKeySerializer):
    key = serializers.CharField(help_text="The key itself, told this once.")

    class Meta(LimitedApiKeySerializer.Meta):
        fields = [*LimitedApiKeySerializer.Meta.fields, "key"]
        read_only_fields = fields


class NewLimitedApiKeySerializer(NewApiKeySerializer):
    limits = AllowancesField(required=False)


@extend_schema_view(
    create=extend_schema(
        request=NewLimitedApiKeySerializer, responses={201: MadeLimitedApiKeySerializer}
    )
)
class LimitedApiKeyViewSet(ApiKeyViewSet):
    """Accounts' address, extended."""

    serializer_class = LimitedApiKeySerializer
    new_serializer_class = NewLimitedApiKeySerializer

    def shown(self, keys: Sequence[ApiKey]) -> Sequence[dict[str, Any]]:
        context = {**self.get_serializer_context(), "limits": key_limits.of_keys(keys)}
        return [dict(LimitedApiKeySerializer(key, context=context).data) for key in keys]

    def make(self, owner: User, fields: dict[str, Any]) -> NewKey:
        return key_limits.create(owner, **fields, actor=owner)
