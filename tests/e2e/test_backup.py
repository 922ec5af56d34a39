"""F19: a backup of a server that runs and writes, and the way back.

On SQLite; with DATABASE_URL and REDIS_URL of PostgreSQL and Redis, on those.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import quote_plus, urlsplit

import psycopg
import pytest

from tests.e2e.conftest import PAIRED, database
from tests.e2e.person import PASSWORD, register, sign_in
from tests.server import ROOT, environment, free_port, launch, manage, wait_until_ready

AUDIT = """
from accounts.models import MailLink, Session, SignIn, User
from chat.models import Message
import json
print("AUDIT " + json.dumps({
    "people": User.objects.count(),
    "messages": Message.objects.count(),
    "live_sign_ins": SignIn.objects.live().count(),
    "sessions": Session.objects.count() + MailLink.objects.count(),
    "contents": sorted(Message.objects.filter(role="user").values_list("content", flat=True)),
}))
"""

WRITTEN = "SELECT content FROM chat_message WHERE role = 'user' ORDER BY content"

# In one process: a start of Django takes longer than a refusal.
REFUSALS = """
import json, sys, django
django.setup()
from django.core.management import CommandError, call_command
said = {}
for path in sys.argv[1:]:
    try:
        call_command("restore", path, "--yes")
    except CommandError as refused:
        said[path] = [refused.returncode, str(refused)]
print("REFUSALS " + json.dumps(said))
"""

# The process dies at its worst moment: the new database is whole, the old one stands.
KILLED = """
import os, signal, sys, django
django.setup()
from django.core.management import call_command
from config.backups import making
def die():
    os.kill(os.getpid(), signal.SIGKILL)
made = making._bring_up_to_date
making._bring_up_to_date = lambda: (made(), die())
call_command("restore", sys.argv[1], "--yes")
"""


class Deployment:
    """A folder and a database, with a server on it or without."""

    def __init__(self, folder, shared):
        self.folder = folder
        self.shared = {"LIMIT_FACTOR": "1000", "DEFAULT_MODEL": "offline", **shared}
        self.environ = environment(folder, port=free_port(), **self.shared)

    @contextmanager
    def server(self):
        server = launch(self.folder, **self.shared)
        try:
            wait_until_ready(server)
            yield server
        finally:
            server.stop()

    def run(self, *words, environ=None):
        return manage(*words, environ=self.environ | (environ or {}))

    def done(self, *words):
        ended = self.run(*words, "--format", "json")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def run_code(self, code, *words):
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=ROOT,
            env=self.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
            capture_output=True,
            text=True,
            check=False,
        )

    def contents(self):
        """What people wrote, as it is stored."""
        if PAIRED:
            with psycopg.connect(self.shared["DATABASE_URL"]) as connection:
                return [content for (content,) in connection.execute(WRITTEN)]
        return contents_of(self.folder / "parley.sqlite3")

    def audit(self):
        ended = self.run("shell", "-v", "0", "-c", AUDIT)
        (line,) = [line for line in ended.stdout.splitlines() if line.startswith("AUDIT ")]
        return json.loads(line.removeprefix("AUDIT "))


@pytest.fixture
def deployment(tmp_path):
    with ExitStack() as stack:
        yield Deployment(tmp_path / "data", stack.enter_context(database()))


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """One for all tests in which nothing may happen to it."""
    folder = tmp_path_factory.mktemp("standing")
    with database() as shared:
        made = Deployment(folder / "data", shared)
        made.backup = backed_up(made, folder / "backup.tar.gz")
        yield made


@pytest.fixture
def copied(standing, tmp_path):
    """One of its kind that a test may do with as it likes."""
    template = urlsplit(standing.shared.get("DATABASE_URL", "//x/template1")).path.strip("/")
    with database(template=template) as shared:
        made = Deployment(tmp_path / "data", shared)
        shutil.copytree(standing.folder, made.folder)
        made.backup = standing.backup
        yield made


def contents_of(file):
    with closing(sqlite3.connect(file)) as connection:
        return [content for (content,) in connection.execute(WRITTEN)]


def backed_up(deployment, path):
    """A person, a message, and a backup of both; then one message more."""
    with deployment.server() as server:
        person = register(server)
        say(person, person.conversation(title="One"), "before the backup")
        deployment.done("backup", str(path))
        say(person, person.conversation(title="Two"), "after the backup")
    return path


def say(person, conversation, content):
    sent = person.call("POST", f"conversations/{conversation}/messages", {"content": content})
    assert sent.status == 201, sent.body
    return content


@pytest.mark.row("F19")
def test_a_backup_under_load_is_one_moment_and_comes_back_whole(deployment, tmp_path):
    path = tmp_path / "backup.tar.gz"
    with deployment.server() as server:
        people = [register(server) for _ in range(3)]
        acknowledged, stop = [], threading.Event()

        def keep_writing(person, number):
            conversation = person.conversation()
            count = 0
            while not stop.is_set():
                acknowledged.append(say(person, conversation, f"{number}-{count}"))
                count += 1

        writers = [
            threading.Thread(target=keep_writing, args=(person, number))
            for number, person in enumerate(people)
        ]
        for writer in writers:
            writer.start()
        while len(acknowledged) < 20:
            stop.wait(0.05)
        surely_there = set(acknowledged)

        told = deployment.done("backup", str(path))

        written_meanwhile = len(acknowledged)
        stop.set()
        for writer in writers:
            writer.join()
        # Signed in before the backup, signed out after it: must stay so.
        gone = people[0].call("GET", "users/me/sessions").json()["results"][0]["id"]
        assert people[0].call("DELETE", f"users/me/sessions/{gone}").status == 204
        late = register(server)

    restored = deployment.done("restore", str(path), "--yes")

    assert restored["rows"] == told["rows"]
    audit = deployment.audit()
    assert surely_there <= set(audit["contents"])
    assert len(surely_there) < written_meanwhile
    assert audit["people"] == 3
    assert audit["messages"] >= 2 * len(surely_there)
    assert (audit["live_sign_ins"], audit["sessions"]) == (0, 0)
    assert deployment.done("audit_books")["agree"]
    with deployment.server() as server:
        for person in (*people, late):
            assert person.call("GET", "users/me", at=server).status == 401
        back = sign_in(server, people[1].username)
        say(back, back.conversation(), "and on it goes")


@pytest.mark.row("F19")
def test_the_file_holds_no_keys_and_no_cookies(deployment, tmp_path):
    path = tmp_path / "backup.tar"
    with deployment.server() as server:
        body = {"username": "root", "email": "root@example.org", "password": PASSWORD}
        made = deployment.run(
            "create_admin",
            environ={f"ADMIN_{name.upper()}": value for name, value in body.items()},
        )
        assert made.returncode == 0, made.stderr
        asked = server.request("/admin/login/")
        token = asked.headers["set-cookie"].partition("csrf=")[2].partition(";")[0]
        form = f"username=root&password={quote_plus(PASSWORD)}&csrfmiddlewaretoken={token}"
        signed_in = server.request(
            "/admin/login/",
            method="POST",
            body=form.encode(),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Cookie": f"csrf={token}",
                "Origin": f"http://localhost:{server.port}",
                "Host": f"localhost:{server.port}",
            },
        )
        cookie = signed_in.headers["set-cookie"].partition("session=")[2].partition(";")[0]
        assert cookie, signed_in
        deployment.done("backup", str(path))
    secrets = json.loads((deployment.folder / "secrets.json").read_text())

    held = path.read_bytes()

    assert b"root@example.org" in held
    assert cookie.encode() not in held
    assert not [name for name, secret in secrets.items() if secret.encode() in held]
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        assert not [name for name in tar.getnames() if "secret" in name]


def test_it_can_be_restored_twice_and_the_old_databases_are_kept(copied):
    told = copied.done("restore", str(copied.backup), "--yes")
    again = copied.done("restore", str(copied.backup), "--yes")

    assert copied.contents() == ["before the backup"]
    assert told["kept"] != again["kept"]
    if not PAIRED:
        assert contents_of(told["kept"]) == ["after the backup", "before the backup"]
        assert contents_of(again["kept"]) == ["before the backup"]


def test_it_can_be_restored_into_nothing(standing, tmp_path):
    with database() as shared:
        fresh = Deployment(tmp_path / "fresh", shared)
        told = fresh.done("restore", str(standing.backup), "--yes")

        assert told["kept"] is None
        assert fresh.contents() == ["before the backup"]
        with fresh.server() as server:
            assert server.request("/health").status == 200


def test_a_running_server_is_in_the_way(copied):
    with copied.server() as server:
        refused = copied.run("restore", str(copied.backup), "--yes")

        assert refused.returncode == 1
        assert "top" in refused.stderr  # "Stop it first"
        assert "Traceback" not in refused.stderr
        assert server.request("/health").status == 200
    assert len(copied.contents()) == 2


def test_a_restore_that_is_killed_leaves_the_old_one_working(copied):
    killed = copied.run_code(KILLED, str(copied.backup))

    assert killed.returncode == -signal.SIGKILL
    assert len(copied.contents()) == 2
    with copied.server() as server:
        assert server.request("/health").status == 200
    copied.done("restore", str(copied.backup), "--yes")
    assert copied.contents() == ["before the backup"]


def test_whoever_does_not_say_yes_changes_nothing(standing):
    refused = standing.run("restore", str(standing.backup))

    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert len(standing.contents()) == 2


def _cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def _changed_within(path):
    held = bytearray(gzip.decompress(path.read_bytes()))
    place = held.index(b"before the backup")
    held[place : place + 6] = b"BEFORE"
    path.write_bytes(gzip.compress(bytes(held)))


def _no_backup(path):
    path.write_bytes(b"hello")


def _rewritten(path, change):
    folder = path.parent / "rewritten"
    with tarfile.open(path) as tar:
        tar.extractall(folder, filter="data")
        names = tar.getnames()
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            tar.add(folder / name, arcname=name)


def _newer(path):
    _rewritten(path, lambda manifest: manifest["migrations"].append(["chat", "9999_next"]))


def _other_kind(path):
    other = "sqlite" if PAIRED else "postgresql"
    _rewritten(path, lambda manifest: manifest.update(database=other))


def _newer_format(path):
    _rewritten(path, lambda manifest: manifest.update(format=2))


SPOILT = {
    _cut: "damaged",
    _changed_within: "damaged",
    _no_backup: "not a backup",
    _newer: "chat.9999_next",
    _other_kind: "DATABASE_URL",
    _newer_format: "newer",
    os.unlink: "No such file",
}


def test_what_cannot_be_restored_is_refused(standing, tmp_path):
    paths = {spoil: tmp_path / spoil.__name__ / "backup.tar.gz" for spoil in SPOILT}
    for spoil, path in paths.items():
        path.parent.mkdir()
        shutil.copy(standing.backup, path)
        spoil(path)

    ended = standing.run_code(REFUSALS, *map(str, paths.values()))

    refused = json.loads(ended.stdout.partition("REFUSALS ")[2])
    for spoil, words in SPOILT.items():
        code, said = refused[str(paths[spoil])]
        assert (code, words in said) == (1, True), spoil
    assert len(standing.contents()) == 2
    assert not list(standing.folder.glob("*.restoring")), "what people said, left in the folder"


def test_a_backup_overwrites_nothing_and_leaves_nothing_half(standing):
    before = standing.backup.read_bytes()

    refused = standing.run("backup", str(standing.backup))

    assert refused.returncode == 1
    assert standing.backup.read_bytes() == before
    beside = [path.name for path in standing.backup.parent.iterdir()]
    assert not [name for name in beside if name.startswith(".")]
