from django.urls import path

from accounts.api import schema  # noqa: F401 registers itself
from accounts.api.views import door, keys, own, people, settings

urlpatterns = [
    path("auth/register", door.RegisterView.as_view()),
    path("auth/login", door.LoginView.as_view()),
    path("auth/refresh", door.RefreshView.as_view()),
    path("auth/logout", door.LogoutView.as_view()),
    path("auth/forgot-password", door.ForgotPasswordView.as_view()),
    path("auth/reset-password", door.ResetPasswordView.as_view()),
    path("users/me", own.MeView.as_view()),
    path("users/me/change-password", own.ChangePasswordView.as_view()),
    path("users/me/sessions", own.SessionViewSet.as_view({"get": "list"})),
    path("users/me/sessions/<uuid:session_id>", own.SessionViewSet.as_view({"delete": "destroy"})),
    path("users", people.PersonViewSet.as_view({"get": "list", "post": "create"})),
    path("users/stats", people.PersonViewSet.as_view({"get": "stats"})),
    path(
        "users/<uuid:user_id>",
        people.PersonViewSet.as_view(
            {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}
        ),
    ),
    path(
        "users/<uuid:user_id>/sessions",
        people.PersonSessionsViewSet.as_view({"get": "list", "delete": "destroy"}),
    ),
    path("api-keys", keys.ApiKeyViewSet.as_view({"get": "list", "post": "create"})),
    path(
        "api-keys/<uuid:key_id>",
        keys.ApiKeyViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
    ),
    path("settings", settings.SettingsView.as_view()),
]
