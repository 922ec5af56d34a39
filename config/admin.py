"""The first page of the admin, sorted as its side bar is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from config.admin_site import sections

_by_app = admin.site.get_app_list


def _app_list(request: HttpRequest, app_label: str | None = None) -> list[Any]:
    found = _by_app(request, app_label)
    return list(found) if app_label else sections(found)


# An attribute that Django reads from the site whenever it lists what there is.
admin.site.get_app_list = _app_list  # type: ignore[method-assign]
