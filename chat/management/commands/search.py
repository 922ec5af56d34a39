"""`manage.py search`: the index that search looks through."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.models import Conversation, SearchPiece
from chat.services.search import rebuild
from common.commands import Answer, CliGroup


class Command(CliGroup):
    about = gettext_lazy("Look at the search index, or make it anew.")
    examples = ("manage.py search status", "manage.py search rebuild --format json")

    def add_commands(self) -> None:
        self.add("status", self.status, help=_("What is indexed, and what waits for the job."))
        self.add(
            "rebuild", self.rebuild, help=_("Index everything anew; people can go on searching.")
        )

    def status(self, **_options: Any) -> Answer:
        return {
            "conversations": Conversation.objects.count(),
            "waiting": Conversation.objects.due_for_search().count(),
            "pieces": SearchPiece.objects.count(),
        }

    def rebuild(self, **_options: Any) -> Answer:
        return {"conversations": rebuild()}
