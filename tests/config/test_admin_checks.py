"""Django's checks of the admin, which commands skip: it is loaded with the addresses."""

from __future__ import annotations

import importlib

from django.contrib import admin
from django.core.checks import run_checks


def test_the_admin_that_comes_with_the_addresses_has_no_fault():
    importlib.import_module("config.urls")

    assert admin.site.is_registered(importlib.import_module("accounts.models").User)
    assert [found for found in run_checks(tags=["admin"]) if not found.is_silenced()] == []
