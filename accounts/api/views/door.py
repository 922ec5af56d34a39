"""Signing in and out: what is open to everyone."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import serializers
from accounts.api.callers import address_of, device_of
from accounts.services import authentication, recovery, registration, sign_ins, tokens
from common.api.bodies import validated
from common.api.views import ApiView
from common.schema import DONE


class PublicView(ApiView):
    """Open to everyone; what credentials come along is not looked at."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    needs_body = True
    refuses_with: tuple[str, ...] = ("401",)
    serializer_class: Any = None

    def valid(self, request: Request) -> dict[str, Any]:
        """The body, validated; raises Invalid."""
        return validated(self.serializer_class(data=request.data))


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

    @extend_schema(request=serializers.RefreshSerializer, responses={204: DONE})
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

    @extend_schema(request=serializers.ResetPasswordSerializer, responses={204: DONE})
    def post(self, request: Request) -> Response:
        recovery.reset_password(**self.valid(request))
        return Response(status=204)
