"""What happens before anything is served. What cannot be done is said in a sentence."""

from __future__ import annotations

import fcntl
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import redis
from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import first_admin, owner
from common import schema_state
from common.commands import SETTINGS_CHECKS
from common.errors import AppError, Conflict, reason_of
from config.checks import first_administrator, overruled
from config.migrating import one_at_a_time
from config.secret_files import private_directory

Say = Callable[[str], None]

_REDIS_SECONDS = 2
_POSTGRESQL_SECONDS = 5
_DATABASE_LOOK_SECONDS = 0.5
# SQLSTATEs: of a database that is missing or may not be used, and the class of all that is said
# to whom the server does not know.
_NO_SUCH_DATABASE, _NO_PRIVILEGE, _NO_ADMISSION = "3D000", "42501", "28"
_REFUSALS = (
    redis.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.ResponseError,
)


class CannotStart(Exception):
    """Names the setting and what to do; shown as it is, without a traceback."""


@contextmanager
def or_say_why() -> Iterator[None]:
    """Ends the process with the sentence of a CannotStart, or of a disk or database that fails."""
    try:
        yield
    except CannotStart as exc:
        reason = str(exc)
    except (IntegrityError, ProgrammingError):  # a bug of ours
        raise
    except DatabaseError as exc:
        reason = _ails_the_database(exc)
    except OSError as exc:
        if not _is_of_the_folder(exc):
            raise
        told = _(
            "DATA_DIR: %(folder)s cannot be used (%(reason)s). Is there room, and is it yours?"
        )
        reason = told % {"folder": settings.DATA_DIR, "reason": exc.strerror}
    else:
        return
    sys.stderr.write(_("Parley cannot start.") + f"\n{reason}\n")
    sys.exit(1)


def _is_of_the_folder(exc: OSError) -> bool:
    name = exc.filename
    return isinstance(name, str) and Path(name).is_relative_to(settings.DATA_DIR)


def _ails_the_database(exc: DatabaseError) -> str:
    known = {"reason": reason_of(exc), "file": settings.DATABASES["default"]["NAME"]}
    if connection.vendor == "sqlite":
        told = _(
            "DATABASE_URL: %(file)s cannot be used (%(reason)s). Check its path, who owns it, and "
            "the room on its disk."
        )
    else:
        told = _("DATABASE_URL: the database failed (%(reason)s). Look into its log.")
    return told % known


def check_settings() -> None:
    """Raises CannotStart with every error that a check of ours found."""
    _stop_at([found for found in checks.run_checks(tags=[SETTINGS_CHECKS]) if found.is_serious()])


def _stop_at(errors: list[checks.CheckMessage]) -> None:
    if errors:
        lines = [f"{error.id} {error.msg} {error.hint}" for error in errors]
        raise CannotStart("\n".join(lines))


def prepare_folder() -> None:
    try:
        private_directory(settings.DATA_DIR)
    except OSError as exc:
        raise CannotStart(
            _("DATA_DIR: %(folder)s cannot be used (%(reason)s). Name a folder of your own.")
            % {"folder": settings.DATA_DIR, "reason": exc.strerror}
        ) from None


def only_server() -> IO[str] | None:
    """The lock that keeps a second server away, to be held while this one runs.

    Without Redis two servers would not hear of each other's turns.
    """
    if settings.REDIS_URL:
        return None
    file = (settings.DATA_DIR / "server.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CannotStart(
            _(
                "DATA_DIR: another Parley runs on %(folder)s. "
                "Stop it, or set REDIS_URL to run several."
            )
            % {"folder": settings.DATA_DIR}
        ) from None
    return file


def bind() -> socket.socket:
    """A socket on HOST and PORT. It begins to listen when the server is ready, not before."""
    try:
        family, kind, proto, _canonical, address = socket.getaddrinfo(
            settings.HOST, settings.PORT, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise CannotStart(
            _("HOST: %(host)s is no address of this machine. Use HOST=127.0.0.1.")
            % {"host": settings.HOST}
        ) from None
    listener = None
    try:
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as exc:
        if listener is not None:
            listener.close()
        raise CannotStart(
            _(
                "PORT: %(host)s:%(port)d cannot be used (%(reason)s). "
                "Choose another, for example PORT=%(other)d."
            )
            % {
                "host": settings.HOST,
                "port": settings.PORT,
                "reason": exc.strerror,
                "other": settings.PORT + 1,
            }
        ) from None
    return listener


def wait_for_database(say: Say) -> None:
    """Return once the database answers; raises CannotStart after DATABASE_WAIT_SECONDS, and at
    once where it answers that it will not have us: that does not pass by itself."""
    deadline = time.monotonic() + settings.DATABASE_WAIT_SECONDS
    told = False
    while True:
        try:
            _touch_database()
        except DatabaseError as exc:
            if connection.vendor == "sqlite":
                raise CannotStart(_ails_the_database(exc)) from None
            reason = reason_of(exc)
        else:
            return
        if hint := _what_to_mend():
            raise CannotStart(
                _("DATABASE_URL: the database refuses us (%(reason)s).") % {"reason": reason}
                + f" {hint}"
            )
        if time.monotonic() >= deadline:
            raise CannotStart(
                _(
                    "DATABASE_URL: the database cannot be reached (%(reason)s). "
                    "Check the address, or leave DATABASE_URL out to use SQLite."
                )
                % {"reason": reason}
            )
        if not told:
            say(_("Waiting for the database (DATABASE_URL) …"))
            told = True
        # Nothing runs in this process yet: there is no loop to wait on and nobody to hold up.
        time.sleep(_DATABASE_LOOK_SECONDS)


def _touch_database() -> None:
    """One connection past the pool, which would hide the reason behind a timeout."""
    wrapper = connection.copy()
    if wrapper.vendor == "postgresql":
        wrapper.settings_dict["OPTIONS"] = {
            name: value
            for name, value in wrapper.settings_dict["OPTIONS"].items()
            if name != "pool"
        }
    try:
        wrapper.ensure_connection()
    finally:
        wrapper.close()


def _what_to_mend() -> str:
    """What the administrator has to do, "" where waiting may help."""
    if connection.vendor != "postgresql":
        return ""
    from common.postgresql.refusals import refused_with  # noqa: PLC0415 SQLite needs no psycopg

    parameters = connection.get_connection_params()
    state = refused_with(parameters, seconds=_POSTGRESQL_SECONDS)
    if state == _NO_SUCH_DATABASE:
        return _("Make it first: createdb %(name)s") % {"name": parameters["dbname"]}
    if state == _NO_PRIVILEGE or state.startswith(_NO_ADMISSION):
        return _("Check its user and password, and what the server's pg_hba.conf admits.")
    return ""


def look_for_redis(say: Say) -> None:
    """Say that Redis is away, as everything goes on without it until it is back (F4).

    Raises CannotStart where it is there and will not have us: that does not pass by itself.
    """
    if not settings.REDIS_URL:
        return
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        retry=None,
    )
    try:
        with closing(client):
            client.ping()
    except _REFUSALS as exc:
        raise CannotStart(
            _("REDIS_URL: Redis refuses us (%(reason)s). Check its password and database number.")
            % {"reason": reason_of(exc)}
        ) from None
    except (redis.RedisError, OSError) as exc:
        say(
            _(
                "REDIS_URL: Redis cannot be reached (%(reason)s). Parley starts without it and "
                "uses it as soon as it is there; until then jobs wait, and processes do not hear "
                "of each other at once."
            )
            % {"reason": reason_of(exc)}
        )


def migrate(say: Say) -> None:
    """Bring the tables up to date; of several starting servers one does it, the others wait."""
    with one_at_a_time(connection):
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            say(_("Setting up the database …"))
            call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    found = schema_state.state()
    if found.verdict == schema_state.AHEAD:
        raise CannotStart(
            _(
                "DATABASE_URL: a newer Parley changed this database (%(changes)s). "
                "Install that version, or restore a backup from before."
            )
            % {"changes": ", ".join(found.unknown)}
        )


def furnish() -> bool:
    """Have the first administrator of the environment, or the single user; is there any
    administrator?"""
    _stop_at(first_administrator(databases=["default"]))
    try:
        if settings.SINGLE_USER:
            owner.ensure()
        else:
            first_admin.ensure()
    except Conflict as refusal:
        raise CannotStart(f"SINGLE_USER: {refusal}") from None
    except AppError as refusal:
        fields = refusal.errors or {"": [refusal]}
        said = " ".join(f"{name}: {text}" for name, texts in fields.items() for text in texts)
        refused = _("ADMIN_USERNAME, ADMIN_EMAIL, ADMIN_PASSWORD do not make an administrator.")
        raise CannotStart(f"{refused} {said}") from None
    return User.objects.administrators().exists()


def name_overruled(say: Say) -> None:
    """Say which given settings have no effect, as people have stored others."""
    for found in overruled(databases=["default"]):
        say(f"{found.id} {found.msg} {found.hint}")


def greeting(*, administrators: bool) -> str:
    """What a newcomer needs to see, and no more."""
    database: Any = settings.DATABASES["default"]
    known = {
        "version": settings.VERSION,
        "url": settings.PUBLIC_URL,
        "address": f"{settings.HOST}:{settings.PORT}",
        "database": "SQLite" if database["ENGINE"].endswith("sqlite3") else "PostgreSQL",
        "folder": settings.DATA_DIR,
        "command": shlex.join([_here(sys.executable), _here(sys.argv[0]), "create_admin"]),
    }
    lines = [
        _("Parley %(version)s is ready: %(url)s"),
        "  " + _("listening on %(address)s, %(database)s, data in %(folder)s"),
        "  " + _("reference: %(url)s/docs"),
    ]
    if settings.SINGLE_USER:
        lines.append("  " + _("for one person: on this machine nobody has to sign in"))
    if not administrators:
        lines.append("  " + _("there is no administrator yet: run  %(command)s"))
    return "\n".join(line % known for line in lines)


def _here(program: str) -> str:
    """A path as one types it in the folder where the server was started."""
    path, folder = Path(program).absolute(), Path.cwd()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
