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
    return {"title": title, "icon": icon, "link": _list_of(model), "permission": _may_view(model)}


def _list_of(model: str) -> Any:
    return reverse_lazy(f"admin:{model.replace('.', '_')}_changelist")


# Pages that are no list of rows, before the items of a section of the side bar: title, icon, route,
# and the model that one has to see.
_PAGES: dict[str, list[tuple[Any, str, str, str]]] = {
    "quotas.plan": [
        (_("Usage report"), "bar_chart", "admin:quotas_usagerecord_report", "quotas.usagerecord")
    ],
}


# What the side bar and the first page show, in this order: each model once.
SECTIONS: list[tuple[Any, list[tuple[Any, str, str]]]] = [
    (
        _("People"),
        [
            (_("People"), "person", "accounts.user"),
            (_("Roles"), "badge", "auth.group"),
            (_("Devices"), "devices", "accounts.signin"),
            (_("API keys"), "key", "accounts.apikey"),
            (_("Failed sign-ins"), "gpp_bad", "accounts.signinfailures"),
        ],
    ),
    (
        _("Models"),
        [
            (_("Models"), "neurology", "models_registry.chatmodel"),
            (_("Connections"), "cable", "models_registry.connection"),
            (_("From the environment"), "terminal", "models_registry.environmentprovider"),
        ],
    ),
    (
        _("Conversations"),
        [
            (_("Conversations"), "forum", "chat.conversation"),
            (_("Messages"), "chat", "chat.message"),
            (_("Turns"), "play_circle", "chat.turn"),
            (_("Shares"), "public", "chat.share"),
        ],
    ),
    (
        _("Usage"),
        [
            (_("Plans"), "loyalty", "quotas.plan"),
            (_("Who has which plan"), "group", "quotas.planassignment"),
            (_("Own limits"), "speed", "quotas.subjectlimit"),
            (_("Boosts"), "bolt", "quotas.boost"),
            (_("Counters"), "data_usage", "quotas.window"),
            (_("Usage records"), "receipt_long", "quotas.usagerecord"),
            (_("Holds"), "hourglass", "quotas.hold"),
        ],
    ),
    (
        _("System"),
        [
            (_("Settings"), "tune", "constance.config"),
            (_("Audit trail"), "history", "accounts.auditentry"),
            (_("Outgoing mail"), "mail", "accounts.outgoingmail"),
            (_("Mailed links"), "link", "accounts.maillink"),
            (_("Idempotency records"), "repeat", "chat.idempotencyrecord"),
        ],
    ),
]


def _entries(items: list[tuple[Any, str, str]]) -> list[dict[str, Any]]:
    found = []
    for item in items:
        for title, icon, route, model in _PAGES.get(item[2], ()):
            link = reverse_lazy(route)
            found.append(
                {"title": title, "icon": icon, "link": link, "permission": _may_view(model)}
            )
        found.append(_item(*item))
    return found


def sections(app_list: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Django's list of apps with their models, sorted into ours. What no section names comes last,
    under its own app."""
    models = {
        f"{app['app_label']}.{model['object_name']}".lower(): model
        for app in app_list
        for model in app["models"]
    }
    found = []
    for number, (title, items) in enumerate(SECTIONS):
        shown = [
            {**models.pop(label), "name": name} for name, _icon, label in items if label in models
        ]
        if shown:
            url = shown[0]["admin_url"] or ""
            found.append(
                {"name": title, "app_label": f"section-{number}", "app_url": url, "models": shown}
            )
    for app in app_list:
        if left := [model for model in app["models"] if model in models.values()]:
            found.append({**app, "models": left})
    return found


def way(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The way to a page, in the words of the side bar: section, list, row.

    `parts` are what the skin found: the app, the model, the row. Apps have names that the side bar
    does not know, Constance its own.
    """
    if len(parts) < len(("app", "model")):
        return parts
    for section, items in SECTIONS:
        for name, _icon, model in items:
            if str(_list_of(model)) == str(parts[1].get("link")):
                return [{"title": section}, {**parts[1], "title": name}, *parts[2:]]
    return parts


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
    "STYLES": [lambda _request: _static("parley/admin.css")],
    "SHOW_LANGUAGES": False,
    "COLORS": {
        "primary": {step: f"oklch({mix})" for step, mix in _AI.items()},
        "base": {step: f"oklch({mix})" for step, mix in _NEUTRAL.items()},
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {"title": title, "separator": True, "items": _entries(items)}
            for title, items in SECTIONS
        ],
    },
}
