from django.urls import path

from accounts.api import (
    schema,  # noqa: F401 registers itself
    views,
)

urlpatterns = [
    path("auth/register", views.RegisterView.as_view()),
    path("auth/login", views.LoginView.as_view()),
    path("auth/refresh", views.RefreshView.as_view()),
    path("auth/logout", views.LogoutView.as_view()),
    path("auth/forgot-password", views.ForgotPasswordView.as_view()),
    path("auth/reset-password", views.ResetPasswordView.as_view()),
    path("users/me", views.MeView.as_view()),
    path("users/me/change-password", views.ChangePasswordView.as_view()),
    path("users/me/sessions", views.SessionViewSet.as_view({"get": "list"})),
    path(
        "users/me/sessions/<uuid:session_id>", views.SessionViewSet.as_view({"delete": "destroy"})
    ),
]
