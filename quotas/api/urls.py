from django.urls import path

from quotas.api.keys import LimitedApiKeyViewSet
from quotas.api.views import (
    OwnUsageView,
    PlannedPersonViewSet,
    PlanViewSet,
    QuotaView,
    UsageView,
)

urlpatterns = [
    path("users/me/quota", QuotaView.as_view()),
    path("users/me/usage", OwnUsageView.as_view()),
    path("usage", UsageView.as_view()),
    path("plans", PlanViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "plans/<uuid:plan_id>",
        PlanViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    # Accounts' addresses, extended.
    path("api-keys", LimitedApiKeyViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "api-keys/<uuid:key_id>",
        LimitedApiKeyViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
    ),
    path("users", PlannedPersonViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "users/<uuid:user_id>",
        PlannedPersonViewSet.as_view(
            {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
        ),
    ),
]
