"""`manage.py connection`: the deployment's connections from the command line."""

from __future__ import annotations

import getpass
import sys
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from common.commands import Answer, CliGroup, Refused, confirm, usage_error
from common.errors import NotFound
from models_registry.models import Connection
from models_registry.models.connection import SYSTEM
from models_registry.providers.vendors import VENDORS
from models_registry.services import discovery
from models_registry.services.connection_tests import ConnectionCheck, check_connection
from models_registry.services.connections import (
    change_connection,
    create_connection,
    delete_connection,
    set_enabled,
)


class Command(CliGroup):
    about = gettext_lazy(
        "Where models are reached: add, list, test, change, switch and delete the deployment's "
        "connections."
    )
    examples = (
        "manage.py connection add --provider openai --name OpenAI --discover",
        "manage.py connection add --provider openai_compatible --name Ollama \\",
        "    --base-url http://127.0.0.1:11434/v1 --no-key --discover",
        "manage.py connection add --provider anthropic --name Claude --key-stdin < key.txt",
        "manage.py connection test Ollama",
        "manage.py connection discover Ollama --format json",
        "manage.py connection change OpenAI --key-stdin < new-key.txt",
        "manage.py connection disable OpenAI",
        "manage.py connection delete Ollama --yes",
    )

    def add_commands(self) -> None:
        add = self.add(
            "add", self.add_connection, help=_("Add a connection; the key is asked for.")
        )
        add.add_argument(
            "--provider",
            required=True,
            choices=sorted(VENDORS),
            help=_("Which protocol it speaks."),
        )
        add.add_argument("--name", required=True, help=_("How it is called in lists."))
        add.add_argument("--base-url", default="", help=_("The vendor's own address if left out."))
        _add_key(add)
        add.add_argument(
            "--discover", action="store_true", help=_("Add every model that its server lists.")
        )
        self.add("list", self.list_connections, help=_("List them, without their keys."))
        for name, handler, text in (
            ("test", self.test_connection, _("Ask a server for its models.")),
            ("discover", self.discover_models, _("Add every model that its server lists.")),
        ):
            parser = self.add(name, handler, help=text)
            parser.add_argument("connection", help=_("Its name or id."))
        change = self.add("change", self.change, help=_("Rename it, move it, replace its key."))
        change.add_argument("connection", help=_("Its name or id."))
        change.add_argument("--name", help=_("How it is called in lists."))
        change.add_argument("--base-url", help=_("Its new address; the key is needed anew."))
        _add_key(change).add_argument(
            "--new-key", action="store_true", help=_("Ask for a new key.")
        )
        for name, enabled, text in (
            ("enable", True, _("Switch connections on.")),
            ("disable", False, _("Switch connections off: none of their models can be used.")),
        ):
            switch = self.add(name, self.switch, help=text)
            switch.add_argument(
                "connections", nargs="+", metavar="CONNECTION", help=_("Names or ids.")
            )
            switch.set_defaults(enabled=enabled)
        delete = self.add(
            "delete", self.delete, help=_("Delete it with its models; their answers end.")
        )
        delete.add_argument("connection", help=_("Its name or id."))
        delete.add_argument("--yes", action="store_true", help=_("Do not ask."))

    def add_connection(self, *, discover: bool, **options: Any) -> Answer:
        connection = create_connection(
            None,
            scope=SYSTEM,
            provider=options["provider"],
            name=options["name"],
            base_url=options["base_url"],
            api_key=_key(options["provider"], options),
        )
        row = _row(connection)
        if discover:
            outcome, added = discovery.discover(connection, actor=None)
            if not outcome.ok:
                raise Refused(
                    _("%(name)s was added without models. %(reason)s Try again: %(command)s")
                    % {
                        "name": connection.name,
                        "reason": outcome.detail,
                        "command": f"manage.py connection discover {connection.pk}",
                    }
                )
            row["models_added"] = len(added)
        return row

    def list_connections(self, **_options: Any) -> Answer:
        return [_row(each) for each in Connection.objects.select_related("owner").order_by("id")]

    def test_connection(self, *, connection: str, **_options: Any) -> Answer:
        found = _found(connection)
        return _worked(found, check_connection(found, actor=None)).as_dict()

    def discover_models(self, *, connection: str, **_options: Any) -> Answer:
        found = _found(connection)
        outcome, added = discovery.discover(found, actor=None)
        _worked(found, outcome)
        return {"name": found.name, "models_added": [model.name for model in added]}

    def change(self, *, connection: str, **options: Any) -> Answer:
        found = _found(connection)
        changes = {
            name: options[name] for name in ("name", "base_url") if options[name] is not None
        }
        if options["no_key"] or options["key_stdin"] or options["new_key"]:
            changes["api_key"] = _key(found.provider, options)
        if not changes:
            raise usage_error(_("Say what to change."))
        return _row(change_connection(found, actor=None, changes=changes))

    def switch(self, *, connections: list[str], enabled: bool, **_options: Any) -> Answer:
        chosen = [_found(name) for name in connections]
        changed = set_enabled(chosen, actor=None, enabled=enabled)
        names = [each.name for each in chosen]
        return {"enabled": enabled, "connections": names, "changed": changed}

    def delete(self, *, connection: str, yes: bool, **_options: Any) -> Answer:
        found = _found(connection)
        deleted = {"id": str(found.pk), "name": found.name, "models": found.chat_models.count()}
        if not yes:
            confirm(_("Delete %(name)s and its models (%(models)d)?") % deleted)
        delete_connection(found, actor=None)
        return deleted


def _add_key(parser: Any) -> Any:
    key = parser.add_mutually_exclusive_group()
    # Never as an argument: those show in the list of processes and in the shell's history.
    key.add_argument("--key-stdin", action="store_true", help=_("Read the key from stdin."))
    key.add_argument("--no-key", action="store_true", help=_("The server wants none."))
    return key


def _key(provider: str, options: dict[str, Any]) -> str:
    if options["no_key"] or not VENDORS[provider].takes_key:
        return ""
    if options["key_stdin"]:
        # An empty file is a mistake, and would erase the key that is there.
        if key := sys.stdin.readline().strip():
            return key
        raise _keyless()
    if not sys.stdin.isatty():
        raise usage_error(_("Without a terminal the key comes with --key-stdin; or say --no-key."))
    try:
        return getpass.getpass(_("API key (empty for none): ")).strip()
    except EOFError as error:
        raise _keyless() from error


def _keyless() -> CommandError:
    return usage_error(_("No key was given. Without one say --no-key."))


def _worked(connection: Connection, outcome: ConnectionCheck) -> ConnectionCheck:
    if not outcome.ok:
        raise Refused(f"{connection.name}: {outcome.detail}")
    return outcome


def _found(name: str) -> Connection:
    named = Connection.objects.system().filter(name=name)
    with suppress(ValueError):
        named = named | Connection.objects.filter(pk=UUID(name))
    match list(named[:2]):
        case [connection]:
            return connection
        case []:
            raise NotFound(_("There is no such connection."))
    raise Refused(_("Several connections have this name: use the id."))


def _row(connection: Connection) -> dict[str, Any]:
    return {
        "id": str(connection.pk),
        "name": connection.name,
        "scope": connection.scope,
        "owner": connection.owner.username if connection.owner else None,
        "provider": connection.provider,
        "base_url": connection.base_url,
        "key": connection.api_key_hint or ("…" if connection.sealed_api_key else None),
        "enabled": connection.enabled,
    }
