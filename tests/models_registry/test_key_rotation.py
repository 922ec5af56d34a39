"""K6: `manage.py rotate_encryption_keys`, online, resumable, honest about what remains."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command

from common import crypto, sealed
from common.crypto import encrypt, first_key_prefix
from models_registry.models import Connection
from models_registry.services.connections import change_connection
from models_registry.services.endpoints import endpoint_of

pytestmark = [pytest.mark.django_db, pytest.mark.row("K6")]

OLD, NEW, FOREIGN = ("old " * 10, "new " * 10, "foreign " * 5)
ROWS = 450  # more than two batches


@pytest.fixture
def rotate():
    def run(*words):
        out = io.StringIO()
        call_command("rotate_encryption_keys", *words, "--format", "json", stdout=out)
        (told,) = [
            each
            for each in json.loads(out.getvalue())
            if each["secrets"] == "models_registry.connection.sealed_api_key"
        ]
        return told

    return run


@pytest.fixture
def connections(settings):
    settings.ENCRYPTION_KEYS = [OLD]
    rows = [Connection(name=f"c{n}", provider="openai") for n in range(ROWS)]
    for row in rows:
        row.sealed_api_key = encrypt(f"sk-{row.name}", context=row.key_context)
    Connection.objects.bulk_create(rows)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    return rows


def key_of(row):
    return endpoint_of(Connection.objects.get(pk=row.pk), None).api_key


def test_every_secret_comes_under_the_first_key(connections, rotate, settings):
    told = rotate()

    assert (told["rows"], told["rotated"], told["remaining"]) == (ROWS, ROWS, 0)
    settings.ENCRYPTION_KEYS = [NEW]
    assert key_of(connections[0]) == "sk-c0"
    assert key_of(connections[-1]) == f"sk-c{ROWS - 1}"


def test_a_dry_run_counts_and_changes_nothing(connections, rotate):
    before = set(Connection.objects.values_list("sealed_api_key", flat=True))

    told = rotate("--dry-run")

    assert (told["rows"], told["rotated"], told["remaining"]) == (ROWS, 0, ROWS)
    assert set(Connection.objects.values_list("sealed_api_key", flat=True)) == before


def test_broken_off_it_goes_on_where_it_was(connections, rotate, monkeypatch):
    done = 0

    def killed(*arguments, **named):
        nonlocal done
        done += 1
        if done > ROWS // 2:
            raise KeyboardInterrupt
        return encrypt(*arguments, **named)

    monkeypatch.setattr(sealed, "encrypt", killed)
    with pytest.raises(KeyboardInterrupt):
        rotate()
    assert key_of(connections[0]) == "sk-c0"  # a turn meanwhile: both keys open
    assert key_of(connections[-1]) == f"sk-c{ROWS - 1}"
    monkeypatch.setattr(sealed, "encrypt", encrypt)

    told = rotate()

    assert told["rotated"] == ROWS - ROWS // 2
    assert told["remaining"] == 0


def test_a_key_that_is_entered_meanwhile_stays(connections, rotate, monkeypatch):
    """The row was read, then somebody stored another key: the rotation must not undo that."""

    def decrypt(token, *, context):
        if context == connections[0].key_context:
            row = Connection.objects.get(pk=connections[0].pk)
            change_connection(row, actor=None, changes={"api_key": "sk-fresh"}, resolve=False)
        return crypto.decrypt(token, context=context)

    monkeypatch.setattr(sealed, "decrypt", decrypt)

    told = rotate()

    assert key_of(connections[0]) == "sk-fresh"
    assert (told["rotated"], told["remaining"]) == (ROWS - 1, 0)


@pytest.mark.row("K7")
def test_what_no_key_opens_is_named_and_stops_nothing(connections, rotate, settings):
    """A lost key disables its own row."""
    lost = connections[3]
    settings.ENCRYPTION_KEYS = [FOREIGN]
    Connection.objects.filter(pk=lost.pk).update(
        sealed_api_key=encrypt("sk-lost", context=lost.key_context)
    )
    settings.ENCRYPTION_KEYS = [NEW, OLD]

    told = rotate()

    assert told["unreadable"] == [str(lost.pk)]
    assert (told["rotated"], told["remaining"]) == (ROWS - 1, 1)


def test_a_second_run_finds_nothing_to_do(connections, rotate):
    rotate()

    assert rotate()["rotated"] == 0
    assert Connection.objects.filter(sealed_api_key__startswith=first_key_prefix()).count() == ROWS


def test_a_connection_without_a_key_is_left_alone(rotate):
    Connection.objects.create(name="bare", provider="openai_compatible")

    assert rotate()["rows"] == 0
