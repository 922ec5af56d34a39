"""The deployment's settings: the public ones for everybody, all of them for administrators."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.callers import caller_of
from accounts.api.settings import SettingsChangesSerializer, SettingsSerializer
from accounts.services import deployment_settings
from common.api.bodies import validated
from common.api.views import ApiView


@extend_schema(tags=["settings"])
class SettingsView(ApiView):
    permission_classes = (IsAuthenticatedOrReadOnly,)
    refuses_with = ("401", "403")

    @extend_schema(responses=SettingsSerializer)
    def get(self, request: Request) -> Response:
        """The public ones; for those who may change them, all."""
        user = caller_of(request).user if request.auth else None
        return Response(deployment_settings.shown_to(user))

    @extend_schema(request=SettingsChangesSerializer, responses=SettingsSerializer)
    def patch(self, request: Request) -> Response:
        """What is named changes, in every process within seconds; null is the way back to what
        the environment says."""
        user = caller_of(request).user
        changes = validated(SettingsChangesSerializer(data=request.data))
        deployment_settings.change(changes, actor=user)
        return Response(deployment_settings.shown_to(user))
