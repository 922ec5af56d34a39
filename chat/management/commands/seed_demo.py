from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.services.demo import seed
from common.commands import Answer, CliCommand


class Command(CliCommand):
    about = gettext_lazy(
        "Add a small team with conversations in English and Chinese, to try things on.\n"
        "All of them get one new password, which is told once. Again, it adds nothing."
    )
    examples = ("manage.py seed_demo", "manage.py seed_demo --among-people --format json")

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--among-people",
            action="store_true",
            help=_("Also where others than administrators use the deployment."),
        )

    def run(self, *, among_people: bool, **options: Any) -> Answer:
        seeded = asdict(seed(among_people=among_people))
        return seeded | {"password": seeded["password"] or None}
