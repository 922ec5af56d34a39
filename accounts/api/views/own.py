"""One's own account."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import serializers
from accounts.api.callers import address_of, caller_of
from accounts.models import SignIn, User
from accounts.services import profile
from common.api.bodies import validated
from common.api.views import ApiView, ApiViewSet
from common.schema import DONE


class MeView(ApiView):
    """One's own profile."""

    refuses_with = ("400", "409")

    def takes_body(self, request: Request) -> bool:
        return request.method in {"PUT", "PATCH", "DELETE"}

    @extend_schema(responses={200: serializers.UserSerializer})
    def get(self, request: Request) -> Response:
        return Response(serializers.UserSerializer(caller_of(request).user).data)

    @extend_schema(
        request=serializers.ProfileSerializer, responses={200: serializers.UserSerializer}
    )
    def patch(self, request: Request) -> Response:
        fields = validated(serializers.ProfileSerializer(data=request.data))
        user = profile.update_profile(
            caller_of(request).user, address=address_of(request), **fields
        )
        return Response(serializers.UserSerializer(user).data)

    @extend_schema(
        request=serializers.ProfileSerializer, responses={200: serializers.UserSerializer}
    )
    def put(self, request: Request) -> Response:
        return self.patch(request)

    @extend_schema(request=serializers.ErasePersonSerializer, responses={204: DONE})
    def delete(self, request: Request) -> Response:
        fields = validated(serializers.ErasePersonSerializer(data=request.data))
        profile.erase_self(caller_of(request), address=address_of(request), **fields)
        return Response(status=204)


class ChangePasswordView(ApiView):
    needs_body = True

    @extend_schema(request=serializers.ChangePasswordSerializer, responses={204: DONE})
    def post(self, request: Request) -> Response:
        data = validated(serializers.ChangePasswordSerializer(data=request.data))
        profile.change_password(
            caller_of(request),
            old=data["old_password"],
            new=data["new_password"],
            address=address_of(request),
        )
        return Response(status=204)


class SessionViewSet(ApiViewSet):
    """The devices on which one is signed in."""

    serializer_class = serializers.SignInSerializer
    queryset = SignIn.objects.none()
    lookup_url_kwarg = "session_id"

    def list(self, request: Request) -> Response:
        caller = caller_of(request)
        page = self.paginate_queryset(caller.user.sign_ins.live())
        context = {"current": caller.sign_in.pk if caller.sign_in else None}
        rows = serializers.SignInSerializer(page, many=True, context=context).data
        return self.get_paginated_response(rows)

    @extend_schema(responses={204: DONE})
    def destroy(self, request: Request, session_id: UUID) -> Response:
        user: User = caller_of(request).user
        profile.end_sign_in(user, session_id)
        return Response(status=204)
