"""What goes in and out of the account endpoints."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from accounts.models import Role, SignIn, User
from accounts.names import EMAIL_CHARACTERS
from accounts.services.people import roles_of
from accounts.services.profile import known_timezones
from accounts.services.tokens import TokenPair, issue
from common.api.fields import JSONObjectField, LineField, NullIsAbsent, SwitchField, TextField

# Longer than any password that is taken: the service says how long one may be (S9).
_PASSWORD_CHARACTERS = 1_100_000
# Of a name of Django's groups, and more of them than anybody has.
_ROLE_CHARACTERS = 150
_ROLES = 50


class PasswordField(TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(write_only=True, max_length=_PASSWORD_CHARACTERS, **kwargs)


class UserSerializer(serializers.ModelSerializer[User]):
    language = serializers.SerializerMethodField()
    timezone = serializers.SerializerMethodField()
    roles = serializers.SerializerMethodField()
    preferences = JSONObjectField()

    class Meta:
        model = User
        fields = [
            "id",
            "username",
            "email",
            "display_name",
            "language",
            "timezone",
            "roles",
            "preferences",
            "created_at",
        ]
        read_only_fields = fields

    def get_language(self, user: User) -> str:
        return user.language or settings.LANGUAGE_CODE

    def get_timezone(self, user: User) -> str:
        return user.timezone or settings.TIME_ZONE

    def get_roles(self, user: User) -> list[str]:
        return roles_of(user)


class PersonSerializer(UserSerializer):
    """Somebody, as those see them who manage people; `preferences` are nobody else's business."""

    preferences = None  # type: ignore[assignment]  # DRF's way to take a field away
    last_login_at = serializers.DateTimeField(source="last_login", allow_null=True)

    class Meta(UserSerializer.Meta):
        fields = [
            "id",
            "username",
            "email",
            "display_name",
            "language",
            "timezone",
            "roles",
            "is_active",
            "last_login_at",
            "created_at",
        ]
        read_only_fields = fields


class RolesField(serializers.ListField):
    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", _ROLES)
        super().__init__(child=TextField(max_length=_ROLE_CHARACTERS), **kwargs)


class NewPersonSerializer(serializers.Serializer[dict[str, Any]]):
    username = TextField(max_length=1_000)
    email = TextField(max_length=1_000)
    password = PasswordField()
    roles = RolesField(default=[Role.MEMBER.value])


class PersonChangesSerializer(serializers.Serializer[dict[str, Any]]):
    """The roles are replaced as a whole; whatever else comes is ignored (A4)."""

    roles = RolesField(required=False)
    is_active = SwitchField(required=False)


class StatisticsSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    active = serializers.IntegerField()
    by_role = serializers.DictField(child=serializers.IntegerField())


class TokensSerializer(serializers.Serializer[dict[str, Any]]):
    user = UserSerializer()
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField(default="bearer")
    expires_in = serializers.IntegerField(help_text="Seconds that the access token lives.")


class RegisterSerializer(serializers.Serializer[dict[str, Any]]):
    username = TextField(max_length=1_000)
    email = TextField(max_length=1_000)
    password = PasswordField()


class LoginNameField(NullIsAbsent, TextField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=EMAIL_CHARACTERS, **kwargs)


class LoginSerializer(serializers.Serializer[dict[str, Any]]):
    """`username` may hold either; `email` is another name for the same field."""

    username = LoginNameField()
    email = LoginNameField()
    password = PasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not (attrs.get("username") or attrs.get("email")):
            raise serializers.ValidationError({"username": [_("Give a user name or an e-mail.")]})
        return attrs


class RefreshSerializer(serializers.Serializer[dict[str, Any]]):
    refresh_token = TextField(max_length=10_000)


class ForgotPasswordSerializer(serializers.Serializer[dict[str, Any]]):
    email = TextField(max_length=EMAIL_CHARACTERS, trim_whitespace=True)


class ResetPasswordSerializer(serializers.Serializer[dict[str, Any]]):
    uid = TextField(max_length=100)
    token = TextField(max_length=1_000)
    password = PasswordField()


class ChangePasswordSerializer(serializers.Serializer[dict[str, Any]]):
    old_password = PasswordField()
    new_password = PasswordField()


class ErasePersonSerializer(serializers.Serializer[dict[str, Any]]):
    password = PasswordField()


class ProfileSerializer(serializers.Serializer[dict[str, Any]]):
    """The writable part of a profile; whatever else comes is ignored (A4)."""

    email = TextField(required=False, max_length=1_000)
    password = PasswordField(required=False)
    display_name = LineField(
        required=False,
        max_length=settings.NAME_CHARACTERS,
        allow_blank=True,
        trim_whitespace=True,
    )
    language = serializers.ChoiceField(required=False, choices=settings.LANGUAGES)
    timezone = TextField(required=False, max_length=64)
    preferences = JSONObjectField(required=False)

    def validate_timezone(self, value: str) -> str:
        if value not in known_timezones():
            raise serializers.ValidationError(_("Use a name like Europe/Berlin."))
        return value

    def validate_preferences(self, value: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(value, ensure_ascii=False).encode()) > settings.PREFERENCES_BYTES:
            raise serializers.ValidationError(_("This is more than can be kept."))
        return value


class SignInSerializer(serializers.ModelSerializer[SignIn]):
    current = serializers.SerializerMethodField()

    class Meta:
        model = SignIn
        fields = ["id", "client", "address", "created_at", "last_used_at", "current"]
        read_only_fields = fields

    def get_current(self, sign_in: SignIn) -> bool:
        return bool(sign_in.pk == self.context.get("current"))


def tokens_answer(sign_in: SignIn, pair: TokenPair | None = None) -> dict[str, Any]:
    """The body that register, login and refresh share."""
    pair = pair or issue(sign_in)
    return {
        "user": UserSerializer(sign_in.user).data,
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "token_type": "bearer",
        "expires_in": pair.expires_in,
    }
