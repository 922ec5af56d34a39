from __future__ import annotations

from typing import Any

from constance import config
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.services import deployment_settings
from common import runtime_settings
from common.changeable import Changeable
from common.commands import Answer, CliGroup
from common.errors import NotFound


class Command(CliGroup):
    about = gettext_lazy("Settings that change while Parley runs, in every process within seconds.")
    examples = (
        "manage.py settings list",
        "manage.py settings get registration_open",
        "manage.py settings set registration_open false",
        "manage.py settings reset default_model",
    )

    def add_commands(self) -> None:
        self.add("list", self.list_settings, help=_("All of them."))
        known = ", ".join(settings.CHANGEABLE)
        for name, handler, text in (
            ("get", self.get, _("One of them.")),
            ("set", self.set, _("Store a value; it wins over the environment's.")),
            ("reset", self.reset, _("Forget the stored value: the environment's counts again.")),
        ):
            parser = self.add(name, handler, help=text)
            parser.add_argument("name", help=known)
            if name == "set":
                parser.add_argument("value", help=_("true or false, a number, or a text."))

    def list_settings(self, **options: Any) -> Answer:
        stored = runtime_settings.stored()
        return [_row(name, stored) for name in settings.CHANGEABLE]

    def get(self, *, name: str, **options: Any) -> Answer:
        _known(name)
        return _row(name, runtime_settings.stored())

    def set(self, *, name: str, value: str, **options: Any) -> Answer:
        found = _known(name)
        deployment_settings.change({name: found.read(name, value)}, actor=None)
        return _row(name, {name})

    def reset(self, *, name: str, **options: Any) -> Answer:
        _known(name)
        deployment_settings.change({name: None}, actor=None)
        return _row(name, set())


def _known(name: str) -> Changeable:
    found: Changeable | None = settings.CHANGEABLE.get(name)
    if found is None:
        known = {"names": ", ".join(settings.CHANGEABLE)}
        raise NotFound(_("There is no such setting. There are: %(names)s") % known)
    return found


def _row(name: str, stored: set[str]) -> dict[str, Any]:
    found = settings.CHANGEABLE[name]
    return {
        "name": name,
        "value": getattr(config, name),
        "stored": name in stored,
        "public": found.is_public,
        "meaning": str(found.label),
    }
