from __future__ import annotations

import sys
from typing import Any

from django.db import connections
from django.utils.translation import gettext_lazy

from common.commands import ExplainedCommand
from config import start


class Command(ExplainedCommand):
    about = gettext_lazy(
        "Run Parley: set up what is missing, then serve on HOST:PORT until a signal comes."
    )
    examples = ("manage.py serve", "HOST=0.0.0.0 PORT=8080 manage.py serve")
    requires_system_checks = ()
    requires_migrations_checks = False

    def handle(self, **options: Any) -> None:
        try:
            self._serve()
        except KeyboardInterrupt:
            sys.exit(130)

    def _serve(self) -> None:
        with start.or_say_why():
            start.check_settings()
            start.prepare_folder()
            lock = start.only_server()
            listener = start.bind()
            start.wait_for_database(self.say)
            start.look_for_redis(self.say)
            start.migrate(self.say)
            administrators = start.furnish()
            start.name_overruled(self.say)
            connections.close_all()
        from config.server import run  # noqa: PLC0415 loads the whole application

        try:
            run(
                listener,
                when_started=lambda: self.say(start.greeting(administrators=administrators)),
            )
        finally:
            if lock is not None:
                lock.close()

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
