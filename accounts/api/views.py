"""Signing in and out, and one's own account."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import serializers
from accounts.api.callers import address_of, caller_of, device_of
from accounts.models import SignIn, User
from accounts.services import (
    authentication,
    profile,
    recovery,
    registration,
    sign_ins,
    tokens,
)
from common.api.views import ApiView, ApiViewSet

_NOTHING = OpenApiResponse(description="Done.")


class PublicView(ApiView):
    """Open to everyone; what credentials come along is not looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    needs_body = True
    refuses_with: tuple[str, ...] = ("401",)
    serializer_class: Any = None

    def valid(self, request: Request) -> dict[str, Any]:
        """The body, validated; raises Invalid."""
        serializer = self.serializer_class(data=request.data)
        serializer.is_valid(raise_exception=True)
        data: dict[str, Any] = serializer.validated_data
        return data


class RegisterView(PublicView):
    refuses_with = ("403",)
    serializer_class = serializers.RegisterSerializer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method == "POST":
            # Before the body is so much as looked at: a closed door tells nothing about names.
            registration.check_open(address=address_of(request))
        super().initial(request, *args, **kwargs)

    @extend_schema(
        request=serializers.RegisterSerializer, responses={201: serializers.TokensSerializer}
    )
    def post(self, request: Request) -> Response:
        sign_in = registration.register(**self.valid(request), **device_of(request))
        return Response(serializers.tokens_answer(sign_in), status=201)


class LoginView(PublicView):
    serializer_class = serializers.LoginSerializer

    @extend_schema(
        request=serializers.LoginSerializer, responses={200: serializers.TokensSerializer}
    )
    def post(self, request: Request) -> Response:
        data = self.valid(request)
        proof = authentication.authenticate(
            name=data.get("username") or data["email"],
            password=data["password"],
            address=address_of(request),
        )
        sign_in = sign_ins.begin(proof, **device_of(request))
        return Response(serializers.tokens_answer(sign_in))


class RefreshView(PublicView):
    serializer_class = serializers.RefreshSerializer

    @extend_schema(
        request=serializers.RefreshSerializer, responses={200: serializers.TokensSerializer}
    )
    def post(self, request: Request) -> Response:
        sign_in, pair = tokens.rotate(self.valid(request)["refresh_token"])
        return Response(serializers.tokens_answer(sign_in, pair))


class LogoutView(PublicView):
    serializer_class = serializers.RefreshSerializer

    @extend_schema(request=serializers.RefreshSerializer, responses={204: _NOTHING})
    def post(self, request: Request) -> Response:
        tokens.end(self.valid(request)["refresh_token"])
        return Response(status=204)


class ForgotPasswordView(PublicView):
    refuses_with = ()
    serializer_class = serializers.ForgotPasswordSerializer

    @extend_schema(
        request=serializers.ForgotPasswordSerializer,
        responses={202: OpenApiResponse(description="If somebody has it, a letter is on its way.")},
    )
    def post(self, request: Request) -> Response:
        recovery.forgot_password(self.valid(request)["email"], address=address_of(request))
        return Response(status=202)


class ResetPasswordView(PublicView):
    serializer_class = serializers.ResetPasswordSerializer

    @extend_schema(request=serializers.ResetPasswordSerializer, responses={204: _NOTHING})
    def post(self, request: Request) -> Response:
        recovery.reset_password(**self.valid(request))
        return Response(status=204)


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
        serializer = serializers.ProfileSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = profile.update_profile(
            caller_of(request).user, address=address_of(request), **serializer.validated_data
        )
        return Response(serializers.UserSerializer(user).data)

    @extend_schema(
        request=serializers.ProfileSerializer, responses={200: serializers.UserSerializer}
    )
    def put(self, request: Request) -> Response:
        return self.patch(request)

    @extend_schema(request=serializers.ErasePersonSerializer, responses={204: _NOTHING})
    def delete(self, request: Request) -> Response:
        serializer = serializers.ErasePersonSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        profile.erase_self(
            caller_of(request), address=address_of(request), **serializer.validated_data
        )
        return Response(status=204)


class ChangePasswordView(ApiView):
    needs_body = True

    @extend_schema(request=serializers.ChangePasswordSerializer, responses={204: _NOTHING})
    def post(self, request: Request) -> Response:
        serializer = serializers.ChangePasswordSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
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

    @extend_schema(responses={204: _NOTHING})
    def destroy(self, request: Request, session_id: UUID) -> Response:
        user: User = caller_of(request).user
        profile.end_sign_in(user, session_id)
        return Response(status=204)
