"""A real second process reads and stops a turn of this one, through Redis and the database."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection

from chat.models import Message
from chat.services.turn_requests import send_message
from models_registry.providers.base import Finished, TextDelta
from quotas.models import UsageRecord
from tests import needs
from tests.chat.conftest import Gate, read
from tests.server import ROOT, environment
from tests.waiting import until

pytestmark = needs.redis


BEGIN = """
import sys, django
django.setup()
from tests.chat.other_process import main
main(*sys.argv[1:])
"""


def database_url():
    named = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{named['NAME']}"
    user = f"{named['USER']}:{named['PASSWORD']}" if named["PASSWORD"] else named["USER"]
    return f"postgres://{user}@{named['HOST']}:{named['PORT']}/{named['NAME']}"


@pytest.fixture
def elsewhere(tmp_path):
    """Start `tests.chat.other_process` with these arguments; killed with the test."""
    started = []

    def start(*arguments):
        variables = environment(
            tmp_path,
            port=0,
            DATABASE_URL=database_url(),
            REDIS_URL=settings.REDIS_URL,
            DJANGO_SETTINGS_MODULE="config.settings_test",
        )
        with (tmp_path / "errors").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", BEGIN, *map(str, arguments)],
                cwd=ROOT,
                env=variables,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_reads_the_same_bytes_from_every_position(
    alice, conversation, script, elsewhere, tmp_path
):
    """Issue 3, done 2: 40 events, cut after each of them, from a second process with Redis."""
    gate = Gate()
    words = [f"word {number} " for number in range(38)]
    half = [TextDelta(word) for word in words]
    script(*half[:19], gate, *half[19:], Finished("stop"))
    ref = send_message(alice, conversation.id, content="Go on").ref
    until(lambda: gate.reached, "half of it was said")
    process = elsewhere("read", ref.turn_id, ref.message_id, ref.conversation_id, *range(-1, 39))
    until(lambda: b"reading" in (tmp_path / "errors").read_bytes(), "it reads", seconds=60)

    gate.open()
    output, _ = process.communicate(timeout=60)
    here = [json.dumps(each, sort_keys=True) for each in read(ref)]

    there = [
        [json.dumps(json.loads(each), sort_keys=True) for each in json.loads(line)]
        for line in output.splitlines()
    ]
    assert len(here) == 40
    assert [found == here[number:] for number, found in enumerate(there)] == [True] * 40


def test_a_second_process_stops_the_turn_within_moments(
    alice, conversation, script, elsewhere, settings
):
    """Issue 3, done 5: the provider is closed, text and usage are kept."""
    gate = Gate()
    script(TextDelta("Some text"), gate, TextDelta("never"), Finished("stop"))
    ref = send_message(alice, conversation.id, content="Hi").ref
    until(lambda: gate.reached, "the model is in the middle")
    # Only the word through Redis can be this fast.
    settings.CHECKPOINT_SECONDS = 600

    process = elsewhere("stop", ref.message_id)
    until(lambda: script.closed_early, "the provider was closed", seconds=60)

    assert read(ref)[-1]["message"]["status"] == "stopped"
    assert process.wait(30) == 0
    message = Message.objects.get(pk=ref.message_id)
    assert (message.content, message.status) == ("Some text", "stopped")
    assert UsageRecord.objects.get().completion_tokens > 0
