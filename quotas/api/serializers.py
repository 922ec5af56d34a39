"""Limits, plans and usage on the wire. Every writable field is named here (SECURITY A4)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.api.serializers import PersonChangesSerializer, PersonSerializer
from common.api.fields import LineField, SwitchField, TextField
from common.errors import Invalid
from common.schema import AMOUNT
from quotas.models import Metric, Period, Plan
from quotas.services import plans
from quotas.services.amounts import Allowance, amount_of, told


@extend_schema_field(AMOUNT)
class AmountField(serializers.Field):  # type: ignore[type-arg]  # of several kinds
    """Tokens and requests are whole numbers, a cost is money: what it is decides whoever knows
    the metric."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, bool) or not isinstance(data, int | float | str):
            raise serializers.ValidationError(_("Use a number."))
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class AllowanceSerializer(serializers.Serializer[Allowance]):
    """A limit as it is set; `limit` of a `cost` is money, as a string or a number."""

    metric = serializers.ChoiceField(choices=Metric.choices)
    period = serializers.ChoiceField(choices=Period.choices)
    limit = AmountField()

    def validate(self, attrs: dict[str, Any]) -> Any:
        # A limit is whole, also where a PATCH may leave out what stands around it.
        if missing := self.fields.keys() - attrs.keys():
            required = self.error_messages["required"]
            raise serializers.ValidationError({name: [required] for name in sorted(missing)})
        metric = attrs["metric"]
        try:
            return Allowance(metric, attrs["period"], amount_of(metric, attrs["limit"]))
        except Invalid as refusal:
            raise serializers.ValidationError(refusal.errors) from None

    def to_representation(self, instance: Allowance) -> dict[str, Any]:
        limit = told(instance.metric, instance.amount)
        return {"metric": instance.metric, "period": instance.period, "limit": limit}


class AllowancesField(serializers.ListField):
    """A list of limits, none of them twice."""

    def __init__(self, **kwargs: Any) -> None:
        most = len(Metric) * len(Period)
        super().__init__(child=AllowanceSerializer(), max_length=most, **kwargs)


class PlanSerializer(serializers.Serializer[Plan]):
    id = serializers.UUIDField(read_only=True)
    name = LineField(max_length=settings.NAME_CHARACTERS, trim_whitespace=True)
    is_default = SwitchField(required=False)
    limits = AllowancesField(required=False)

    def to_representation(self, instance: Plan) -> dict[str, Any]:
        limits = [AllowanceSerializer(each).data for each in plans.allowances(instance)]
        return {
            "id": str(instance.pk),
            "name": instance.name,
            "is_default": instance.is_default,
            "limits": limits,
        }


class StandingSerializer(serializers.Serializer[Any]):
    """A limit that applies, and what is left of it."""

    subject = serializers.CharField(help_text="user, key, inbox, group or deployment.")
    metric = serializers.ChoiceField(choices=Metric.choices)
    period = serializers.ChoiceField(choices=Period.choices)
    limit = AmountField()
    used = AmountField()
    held = AmountField(help_text="Set aside for turns that are running.")
    remaining = AmountField()
    resets_at = serializers.DateTimeField(allow_null=True, help_text="null: never.")


class QuotaSerializer(serializers.Serializer[Any]):
    limits = StandingSerializer(many=True)


class UsedSerializer(serializers.Serializer[Any]):
    requests = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost = serializers.CharField()


class OwnUsedSerializer(UsedSerializer):
    """Of these the one that `group_by` names is there."""

    day = serializers.DateField(required=False)
    model = serializers.CharField(required=False)


class EveryonesUsedSerializer(OwnUsedSerializer):
    """Of `day`, `model`, `user` and `key` the one that `group_by` names is there."""

    user = serializers.UUIDField(
        required=False, allow_null=True, help_text="null: what the deployment did by itself."
    )
    username = serializers.CharField(
        required=False, allow_null=True, help_text="Beside `user`; null when they were erased."
    )
    key = serializers.UUIDField(
        required=False, allow_null=True, help_text="null: without an API key."
    )


class OwnUsageReportSerializer(serializers.Serializer[Any]):
    results = OwnUsedSerializer(many=True)


class UsageReportSerializer(serializers.Serializer[Any]):
    results = EveryonesUsedSerializer(many=True)


@extend_schema_serializer(component_name="Person")
class PlannedPersonSerializer(PersonSerializer):
    """Somebody, with the plan that they have of their own; null for their roles' or the default."""

    plan = serializers.SerializerMethodField()

    class Meta(PersonSerializer.Meta):
        fields = [*PersonSerializer.Meta.fields, "plan"]
        read_only_fields = fields

    @extend_schema_field({"type": "string", "nullable": True})
    def get_plan(self, user: Any) -> str | None:
        name: str | None = self.context.get("plans", {}).get(user.pk)
        return name


@extend_schema_serializer(component_name="PersonChanges")
class PlannedPersonChangesSerializer(PersonChangesSerializer):
    """The roles are replaced as a whole; `plan` is a name, null for the roles' or the default."""

    plan = TextField(required=False, allow_null=True, max_length=1_000)
