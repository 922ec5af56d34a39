from __future__ import annotations

from accounts.management.commands import create_admin


class Command(create_admin.Command):
    """In place of Django's own, which would make somebody without the role."""

    examples = ("manage.py createsuperuser",)
