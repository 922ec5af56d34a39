"""The start: what is missing is told in a sentence, and a migrated database is enough."""

from __future__ import annotations

import json

import pytest

from chat.models import Conversation, Message
from chat.terminal.opening import furnish
from models_registry.models import ChatModel
from tests.chat.terminal.conftest import make_model
from tests.models_registry.upstream import answer


def test_a_database_that_was_only_migrated_answers_with_the_built_in_model(terminal, ada):
    done = terminal.run("What is a turn?")

    assert done.returncode == 0
    assert done.stderr == ""
    assert "offline" in done.stdout
    assert Message.objects.get(role="assistant").model == "offline"


def test_a_database_without_tables_is_told(terminal, tmp_path, db):
    done = terminal.run("Hi", DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")

    assert (done.returncode, done.stdout) == (1, "")
    assert "not set up" in done.stderr
    assert "migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_told(terminal, db):
    done = terminal.run("Hi", DATABASE_URL="postgres://nobody@127.0.0.1:1/none")

    assert (done.returncode, done.stdout) == (1, "")
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named(terminal, db):
    done = terminal.run("Hi", DATABASE_URL="mysql://nothing")

    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr


def test_help_shows_how_it_is_used(terminal, db):
    done = terminal.run("--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert "examples:" in done.stdout
    for option in ("--model", "--conversation", "--user", "--system", "--list", "--format"):
        assert option in done.stdout
    assert "--settings" not in done.stdout


def test_nobody_there_is_told(terminal, transactional_db):
    done = terminal.run("Hi")

    assert (done.returncode, done.stdout) == (1, "")
    assert "create_admin" in done.stderr


def test_what_the_environment_names_is_there_at_the_first_question(ada, upstream, settings):
    settings.PROVIDERS_FROM_ENVIRONMENT = {
        "openai": {"api_key": "sk-0123456789abcdef0123", "base_url": upstream.url}
    }
    upstream.models = ["gpt-4o"]

    furnish()

    assert set(ChatModel.objects.values_list("name", flat=True)) == {"offline", "gpt-4o"}


def test_the_list_names_conversations_by_title_or_first_question(terminal, echo, ada):
    titled = Conversation.objects.create(owner=ada, title="Plans", model="echo")
    asked = Conversation.objects.create(owner=ada, model="echo")
    Message.objects.create(conversation=asked, role="user", content="What now?", position=1)

    as_table = terminal.run("--list")
    as_json = terminal.run("--list", "--format", "json")

    assert as_table.returncode == 0
    assert "Plans" in as_table.stdout
    assert "What now?" in as_table.stdout
    assert [(row["id"], row["title"]) for row in json.loads(as_json.stdout)] == [
        (str(asked.pk), "What now?"),
        (str(titled.pk), "Plans"),
    ]


def test_options_say_who_answers_where_and_how(terminal, echo, ada, upstream):
    make_model("other", upstream)
    upstream.script(answer("one"), answer("two"))

    first = terminal.run("--model", "other", "--system", "Be brief.", "First")
    second = terminal.run("--user", "ada", "--conversation", "last", "Second")

    assert (first.stdout, second.stdout) == ("one\n", "two\n")
    asked = upstream.chats[1].json
    assert asked["model"] == "other"
    assert [(each["role"], each["content"]) for each in asked["messages"]] == [
        ("system", "Be brief."),
        ("user", "First"),
        ("assistant", "one"),
        ("user", "Second"),
    ]
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize("which", ["--model", "--conversation"])
def test_a_name_that_is_not_there_is_told(terminal, echo, which):
    done = terminal.run(which, "nothing", "Hi")

    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing" in done.stderr
    assert not Conversation.objects.exists()
