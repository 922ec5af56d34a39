"""Models and connections on the wire. Every writable field is named here (SECURITY A4)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from common.api.fields import IdField, LineField, SwitchField, TextField, WholeNumberField
from common.money import BILLION, as_decimal, billionths
from common.outbound import URL_CHARACTERS
from common.text import excerpt
from models_registry.models import ChatModel, Connection
from models_registry.models.connection import PERSONAL, SYSTEM
from models_registry.providers.vendors import VENDORS
from models_registry.services.access import Access, access_of
from models_registry.services.connections import KEY_CHARACTERS
from models_registry.services.models import MOST_FALLBACKS

_LONGEST_UPSTREAM_NAME = 200
_MOST_TOKENS = 100_000_000
_HIGHEST_PRICE = 1_000_000
_MOST_GRANTS = 1_000


class ConnectionSerializer(serializers.Serializer[Connection]):
    id = serializers.UUIDField(read_only=True)
    scope = serializers.ChoiceField(choices=[SYSTEM, PERSONAL], default=PERSONAL)
    provider = TextField(max_length=32, help_text=f"One of: {', '.join(VENDORS)}.")
    name = LineField(max_length=settings.NAME_CHARACTERS)
    base_url = TextField(max_length=URL_CHARACTERS, allow_blank=True, default="")
    api_key = TextField(
        max_length=KEY_CHARACTERS, allow_blank=True, write_only=True, required=False
    )
    api_key_hint = serializers.CharField(
        read_only=True, help_text="The last characters of the key, after an ellipsis."
    )
    enabled = SwitchField(default=True)


class PriceField(serializers.DecimalField):
    """Money per 1,000,000 tokens on the wire, integer billionths inside."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_digits=13,
            decimal_places=6,
            min_value=Decimal(0),
            max_value=Decimal(_HIGHEST_PRICE),
            **kwargs,
        )

    def to_internal_value(self, data: Any) -> Any:
        return billionths(super().to_internal_value(data))

    def run_validators(self, value: Any) -> None:
        super().run_validators(Decimal(value) / BILLION)

    def to_representation(self, value: Any) -> str:
        return as_decimal(value)


class OneLineField(LineField):
    default_error_messages = {"spaced": _("A name has no space around it.")}

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name != name.strip():
            self.fail("spaced")
        return name


class AccessSerializer(serializers.Serializer[Access]):
    everyone = SwitchField(default=False)
    roles = serializers.ListField(child=TextField(max_length=150), default=list, max_length=100)
    users = serializers.ListField(child=IdField(), default=list, max_length=_MOST_GRANTS)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        fields: dict[str, Any] = super().to_internal_value(data)
        # It is replaced as a whole: a misspelt name would take the right away from everybody.
        if unknown := [excerpt(name) for name in data if name not in self.fields]:
            raise serializers.ValidationError(dict.fromkeys(unknown, _("This is not known here.")))
        return fields


class ModelSerializer(serializers.Serializer[ChatModel]):
    """What everybody sees of a model that they may use."""

    id = serializers.UUIDField(read_only=True)
    name = OneLineField(max_length=settings.NAME_CHARACTERS)
    display_name = LineField(max_length=settings.NAME_CHARACTERS, allow_blank=True, required=False)
    scope = serializers.ChoiceField(choices=[SYSTEM, PERSONAL], default=PERSONAL)
    provider = serializers.CharField(source="connection.provider", read_only=True)
    context_window = WholeNumberField(
        min_value=1, max_value=_MOST_TOKENS, allow_null=True, required=False
    )
    max_output_tokens = WholeNumberField(
        min_value=1, max_value=_MOST_TOKENS, allow_null=True, required=False
    )
    capabilities = serializers.ListField(child=serializers.CharField(), read_only=True)
    input_price = PriceField(required=False)
    output_price = PriceField(required=False)

    def to_representation(self, instance: ChatModel) -> dict[str, Any]:
        """Prices as they are now."""
        shown = super().to_representation(instance)
        shown["display_name"] = instance.display_name or instance.name
        price = instance.price
        shown["input_price"] = as_decimal(price.input_price)
        shown["output_price"] = as_decimal(price.output_price)
        return shown


class VerdictSerializer(serializers.Serializer[Any]):
    """Whether a person may use a model now, and by which rule."""

    usable = serializers.BooleanField()
    code = serializers.CharField(
        help_text="own, everyone, role or person; else suspended, personal, no_access, hidden, "
        "model_disabled, connection_disabled or key_unreadable."
    )
    detail = serializers.CharField()


class ListedModelSerializer(ModelSerializer):
    """One of a list; `reason` is there on those that cannot be used."""

    reason = VerdictSerializer(required=False)

    def to_representation(self, instance: ChatModel) -> dict[str, Any]:
        shown = super().to_representation(instance)
        verdict = self.context.get("verdicts", {}).get(instance.pk)
        return shown if verdict is None else shown | {"reason": verdict.as_dict()}


class ManagedModelSerializer(ModelSerializer):
    """A model as those see and write it who may change it."""

    connection = IdField(source="connection_id")
    upstream_name = OneLineField(max_length=_LONGEST_UPSTREAM_NAME, required=False)
    cached_input_price = PriceField(
        source="cached_price",
        allow_null=True,
        required=False,
        help_text="Of what the provider has in its cache; null: as any other input.",
    )
    enabled = SwitchField(required=False)
    access = AccessSerializer(required=False)
    fallbacks = serializers.ListField(
        child=OneLineField(max_length=_LONGEST_UPSTREAM_NAME),
        required=False,
        max_length=MOST_FALLBACKS,
        help_text="Names of models, in the order they are tried.",
    )

    def validate_access(self, value: dict[str, Any]) -> Access:
        return Access(
            everyone=value.get("everyone", False),
            roles=tuple(dict.fromkeys(value.get("roles", ()))),
            users=tuple(dict.fromkeys(value.get("users", ()))),
        )

    def to_representation(self, instance: ChatModel) -> dict[str, Any]:
        names = {
            str(each.pk): each.name
            for each in ChatModel.objects.filter(pk__in=instance.fallbacks).only("name")
        }
        access, cached = access_of(instance), instance.price.cached_price
        own = {
            "connection": str(instance.connection_id),
            "upstream_name": instance.upstream_name,
            "cached_input_price": None if cached is None else as_decimal(cached),
            "enabled": instance.enabled,
            "access": {
                "everyone": access.everyone,
                "roles": list(access.roles),
                "users": [str(user) for user in access.users],
            },
            "fallbacks": [names[each] for each in instance.fallbacks if each in names],
        }
        return ModelSerializer(instance).data | own


class ConnectionTestSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    latency_ms = serializers.IntegerField(required=False)
    models = serializers.ListField(child=serializers.CharField(), required=False)
    code = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)


class DiscoverySerializer(ConnectionTestSerializer):
    added = ModelSerializer(many=True, help_text="The models that were made.")
