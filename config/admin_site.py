"""How the admin looks: title, colours, and what stands where in its side bar."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _


def _may_view(model: str) -> Any:
    app, name = model.split(".")

    def permission(request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"{app}.view_{name}") or user.has_perm(f"{app}.change_{name}"))

    return permission


def _item(title: Any, icon: str, model: str) -> dict[str, Any]:
    link = reverse_lazy(f"admin:{model.replace('.', '_')}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": _may_view(model)}


def _section(title: Any, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "separator": True, "items": list(items)}


_static = lazy(static, str)

# Verdigris and its neutrals, as PAGES.md section 2 mixes them.
_AI = {
    "50": "97% .018 190",
    "100": "95% .03 190",
    "200": "90% .05 189",
    "300": "85% .075 188",
    "400": "81% .085 186",
    "500": "62% .095 190",
    "600": "46% .085 192",
    "700": "41% .075 192",
    "800": "35% .062 193",
    "900": "29% .05 194",
    "950": "21% .035 195",
}
_NEUTRAL = {
    "50": "98% .004 190",
    "100": "96% .006 190",
    "200": "91% .009 190",
    "300": "86% .011 190",
    "400": "70% .014 195",
    "500": "52% .016 200",
    "600": "42% .018 200",
    "700": "34% .016 200",
    "800": "25% .013 200",
    "900": "21% .011 200",
    "950": "15% .009 200",
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Parley",
    "SITE_HEADER": "Parley",
    "SITE_SUBHEADER": _("Administration"),
    "SITE_URL": "/",
    "SITE_ICON": lambda _request: _static("parley/mark.svg"),
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda _request: _static("parley/mark.svg"),
        }
    ],
    "SHOW_LANGUAGES": False,
    "COLORS": {
        "primary": {step: f"oklch({mix})" for step, mix in _AI.items()},
        "base": {step: f"oklch({mix})" for step, mix in _NEUTRAL.items()},
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            _section(
                _("People"),
                _item(_("People"), "person", "accounts.user"),
                _item(_("Roles"), "badge", "auth.group"),
                _item(_("Devices"), "devices", "accounts.signin"),
                _item(_("Failed sign-ins"), "gpp_bad", "accounts.signinfailures"),
                _item(_("Audit trail"), "history", "accounts.auditentry"),
                _item(_("Mail"), "mail", "accounts.outgoingmail"),
            ),
            _section(
                _("Models"),
                _item(_("Connections"), "cable", "models_registry.connection"),
                _item(_("Models"), "neurology", "models_registry.chatmodel"),
            ),
            _section(
                _("Chat"),
                _item(_("Conversations"), "forum", "chat.conversation"),
                _item(_("Messages"), "chat", "chat.message"),
                _item(_("Turns"), "play_circle", "chat.turn"),
            ),
            _section(
                _("Usage"),
                _item(_("Usage records"), "receipt_long", "quotas.usagerecord"),
                _item(_("Holds"), "hourglass", "quotas.hold"),
            ),
            _section(
                _("Deployment"),
                {
                    "title": _("Settings"),
                    "icon": "tune",
                    "link": reverse_lazy("admin:constance_config_changelist"),
                    "permission": lambda request: request.user.is_superuser,
                },
            ),
        ],
    },
}
