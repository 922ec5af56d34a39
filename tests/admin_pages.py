"""Every page of the admin, for those who open them all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.test import Client
from django.urls import reverse

OK = 200

# Without rows of their own in the database.
_NO_TABLE = {"constance.config"}


def registered() -> dict[str, Any]:
    """Each admin, by `app.model`."""
    return {
        str(model._meta.label_lower): model_admin  # noqa: SLF001 documented
        for model, model_admin in admin.site._registry.items()  # noqa: SLF001
    }


def lists() -> Iterator[str]:
    yield reverse("admin:index")
    for label in registered():
        yield address(label, "changelist")


def searches() -> Iterator[str]:
    """The lists that can be searched."""
    for label, model_admin in registered().items():
        if model_admin.search_fields:
            yield address(label, "changelist")


def rows() -> Iterator[tuple[str, Any]]:
    """One row of every kind that there is one of."""
    for label, model_admin in registered().items():
        if label not in _NO_TABLE:
            row = model_admin.model._default_manager.order_by("-pk").first()  # noqa: SLF001
            if row is not None:
                yield label, row


def filtered(client: Client) -> Iterator[str]:
    """Each list by a word that nobody said, by one that many did, and by every choice of its
    filters."""
    for label, model_admin in registered().items():
        if label in _NO_TABLE:
            continue
        there = address(label, "changelist")
        if model_admin.search_fields:
            yield f"{there}?q=nothing-like-this"
            yield f"{there}?q=m"
        answer = client.get(there)
        shown = answer.context["cl"] if answer.status_code == OK else None
        for each in shown.filter_specs if shown else ():
            yield from (there + choice["query_string"] for choice in each.choices(shown))


def pages_of_rows() -> Iterator[str]:
    """The page of one row of every kind, its history, and the question before it is deleted."""
    for label, row in rows():
        for name in ("change", "history", "delete"):
            yield address(label, name, row.pk)


def forms() -> Iterator[str]:
    for label in registered():
        if label not in _NO_TABLE:
            yield address(label, "add")


def everything(client: Client) -> list[str]:
    return [*lists(), *filtered(client), *pages_of_rows(), *forms()]


def address(label: str, name: str, *args: Any) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_{name}", args=args)
