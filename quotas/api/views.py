"""Limits and usage: one's own, and everybody's for those with the permission."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.scopes import READING
from accounts.api.serializers import NewPersonSerializer
from accounts.api.views.people import PersonViewSet
from accounts.models import User
from common.api import query
from common.api.bodies import validated
from common.api.views import ApiView, ApiViewSet
from common.errors import NotFound
from common.schema import DONE
from quotas.api import serializers
from quotas.models import Payer, Plan
from quotas.services import plans, usage
from quotas.services.subjects import check_may
from quotas.services.windows import shown_to

_ORDERINGS = {
    "name": ("name",),
    "-name": ("-name",),
    "created_at": ("id",),
    "-created_at": ("-id",),
}
_BY_NAME = "name"


def _of_days(groups: Collection[str]) -> list[OpenApiParameter]:
    return [
        OpenApiParameter("from", OpenApiTypes.DATE, description="The first day."),
        OpenApiParameter("to", OpenApiTypes.DATE, description="The last day."),
        OpenApiParameter("group_by", enum=list(groups)),
    ]


def _asked(request: Request, groups: Sequence[str]) -> tuple[str, date, date]:
    """What to group by, and the days; raises Invalid. The last 30 where none are named."""
    group_by = query.choice(request, "group_by", groups, default="day")
    return group_by or "day", *query.days(request, today=usage.today())


@extend_schema(tags=["users"])
class QuotaView(ApiView):
    """What one may use."""

    key_scopes = READING

    @extend_schema(operation_id="users_me_quota", responses=serializers.QuotaSerializer)
    def get(self, request: Request) -> Response:
        """The limits that apply to the caller, and what is left of each; with an API key its own
        among them."""
        caller = caller_of(request)
        payer = Payer(caller.user.pk, key_id=caller.key.pk if caller.key else None)
        return Response({"limits": shown_to(payer)})


@extend_schema(tags=["users"])
class OwnUsageView(ApiView):
    """What one has used."""

    key_scopes = READING

    @extend_schema(
        operation_id="users_me_usage",
        parameters=_of_days(usage.OWN_GROUPS),
        responses=serializers.OwnUsageReportSerializer,
    )
    def get(self, request: Request) -> Response:
        """By day or by model; days are those of the deployment's time zone."""
        asked = _asked(request, usage.OWN_GROUPS)
        return Response({"results": usage.report(*asked, user_id=caller_of(request).user.pk)})


@extend_schema(tags=["usage"])
class UsageView(ApiView):
    """What everybody has used."""

    @extend_schema(
        operation_id="usage",
        parameters=_of_days(usage.GROUPS),
        responses=serializers.UsageReportSerializer,
    )
    def get(self, request: Request) -> Response:
        """By person, model, API key or day; days are those of the deployment's time zone."""
        check_may(caller_of(request).user, "view_usagerecord")
        return Response({"results": usage.report(*_asked(request, usage.GROUPS))})


@extend_schema(tags=["plans"])
class PlanViewSet(ApiViewSet):
    """Limits for people, by the name of a plan."""

    serializer_class = serializers.PlanSerializer
    queryset = Plan.objects.none()
    lookup_url_kwarg = "plan_id"
    refuses_with = ("409",)

    @property
    def user(self) -> User:
        return caller_of(self.request).user

    def get_ordering(self) -> tuple[str, ...]:
        chosen = query.choice(self.request, "ordering", _ORDERINGS, default=_BY_NAME)
        return _ORDERINGS[chosen or _BY_NAME]

    def get_queryset(self) -> QuerySet[Plan]:
        return Plan.objects.prefetch_related("limits")

    @extend_schema(parameters=[OpenApiParameter("ordering", enum=list(_ORDERINGS))])
    def list(self, request: Request) -> Response:
        check_may(self.user, "view_plan")
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(responses={201: serializers.PlanSerializer})
    def create(self, request: Request) -> Response:
        """As the default it takes the place of the one that was."""
        check_may(self.user, "add_plan")
        made = plans.create(actor=self.user, **self._valid(request))
        return Response(self.get_serializer(made).data, status=201)

    def retrieve(self, request: Request, plan_id: UUID) -> Response:
        check_may(self.user, "view_plan")
        return Response(self.get_serializer(self._found(plan_id)).data)

    def partial_update(self, request: Request, plan_id: UUID) -> Response:
        """The limits are replaced as a whole, for everybody who has the plan, at once."""
        check_may(self.user, "change_plan")
        fields = self._valid(request, partial=True)
        changed = plans.change(self._found(plan_id), actor=self.user, **fields)
        return Response(self.get_serializer(changed).data)

    @extend_schema(responses={204: DONE})
    def destroy(self, request: Request, plan_id: UUID) -> Response:
        """Who had it has their roles' plan, else the default one, which cannot be deleted."""
        check_may(self.user, "delete_plan")
        plans.delete(self._found(plan_id), actor=self.user)
        return Response(status=204)

    def _valid(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        return validated(self.get_serializer(data=request.data, partial=partial))

    def _found(self, plan_id: UUID) -> Plan:
        plan: Plan | None = self.get_queryset().filter(pk=plan_id).first()
        if plan is None:
            raise NotFound
        return plan


_person = serializers.PlannedPersonSerializer


@extend_schema_view(
    create=extend_schema(request=NewPersonSerializer, responses={201: _person}),
    partial_update=extend_schema(request=serializers.PlannedPersonChangesSerializer),
)
class PlannedPersonViewSet(PersonViewSet):
    """Accounts' address, extended: who has which plan is known here (ARCHITECTURE section 1)."""

    serializer_class = _person
    changes_serializer_class = serializers.PlannedPersonChangesSerializer

    def shown(self, people_shown: Sequence[User]) -> Sequence[dict[str, Any]]:
        names = plans.names_of([user.pk for user in people_shown])
        context = {**self.get_serializer_context(), "plans": names}
        return [dict(_person(user, context=context).data) for user in people_shown]

    def change(self, user: User, fields: dict[str, Any], *, actor: User) -> User:
        return plans.change_person(user, actor=actor, **fields)
