"""`manage.py connection` and `manage.py model`."""

import contextlib

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError

from models_registry.models import ChatModel, Connection
from models_registry.services.connections import create_connection
from models_registry.services.endpoints import endpoint_of
from tests.models_registry.conftest import KEY
from tests.models_registry.upstream import refusal
from tests.models_registry.wires import spoken_at

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("built_in")]


def add(upstream, *more):
    return (
        *("connection", "add", "--provider", "openai_compatible", "--name", "Ours"),
        *("--base-url", upstream.url, *more),
    )


class TestConnection:
    def test_add_reads_the_key_from_stdin(self, run, upstream):
        told = run(*add(upstream, "--key-stdin"), stdin=KEY + "\n")

        made = Connection.objects.get(name="Ours")
        assert endpoint_of(made, None).api_key == KEY
        assert (told["name"], told["scope"], told["key"]) == ("Ours", "system", "…cdef")

    def test_add_asks_for_the_key(self, run, upstream, monkeypatch):
        monkeypatch.setattr("getpass.getpass", lambda _prompt: KEY)

        run(*add(upstream), terminal=True)

        assert endpoint_of(Connection.objects.get(name="Ours"), None).api_key == KEY

    def test_add_without_a_key(self, run, upstream):
        assert run(*add(upstream, "--no-key"))["key"] is None

    def test_add_without_a_terminal_to_ask_is_a_usage_error(self, run, upstream):
        with pytest.raises(CommandError, match="--key-stdin") as refused:
            run(*add(upstream))

        assert refused.value.returncode == 2
        assert not Connection.objects.filter(name="Ours").exists()

    def test_an_end_of_input_instead_of_a_key_is_a_usage_error(self, run, upstream, monkeypatch):
        def leave(_prompt):
            raise EOFError

        monkeypatch.setattr("getpass.getpass", leave)

        with pytest.raises(CommandError, match="--no-key") as refused:
            run(*add(upstream), terminal=True)

        assert refused.value.returncode == 2

    @pytest.mark.row("K5")
    def test_add_takes_no_key_as_an_argument(self, run, upstream):
        """It would show in the list of processes and in the shell's history."""
        with pytest.raises(CommandError):
            run(*add(upstream, "--key", KEY))

    @pytest.mark.parametrize("provider", ["anthropic", "dashscope"])
    def test_add_a_vendor_with_a_protocol_of_its_own(self, run, upstream, provider):
        spoken_at(upstream, provider)
        where = ("--provider", provider, "--base-url", upstream.url)

        told = run(
            *("connection", "add", "--name", "Theirs", *where, "--key-stdin", "--discover"),
            stdin=KEY,
        )

        assert (told["provider"], told["models_added"]) == (provider, 2)
        assert f"Bearer {KEY}" == upstream.requests[0].headers["authorization"]

    def test_add_with_the_models_that_its_server_lists(self, run, upstream):
        told = run(*add(upstream, "--no-key", "--discover"))

        assert told["models_added"] == 2
        assert ChatModel.objects.filter(name="gpt-4o", everyone=True).exists()

    def test_what_was_added_while_its_server_failed_is_discovered_later(self, run, upstream):
        upstream.list_reply = refusal(401, {"message": "no"})

        with pytest.raises(CommandError, match="Ours was added without models") as failure:
            run(*add(upstream, "--no-key", "--discover"), as_json=False)

        assert failure.value.returncode == 1
        made = Connection.objects.get(name="Ours")
        assert f"connection discover {made.pk}" in str(failure.value)
        with pytest.raises(CommandError, match="does not accept the key"):
            run("connection", "discover", str(made.pk), as_json=False)

        upstream.list_reply = None
        told = run("connection", "discover", "Ours")

        assert told == {"name": "Ours", "models_added": ["gpt-4o", "mock"]}
        assert ChatModel.objects.filter(connection=made).count() == 2
        assert run("connection", "discover", "Ours")["models_added"] == []

    def test_add_tells_what_is_wrong(self, run):
        words = ("connection", "add", "--provider", "openai_compatible", "--name", "x", "--no-key")

        with pytest.raises(CommandError, match="base_url: This provider needs an address"):
            run(*words, as_json=False)

    def test_list_shows_no_key(self, run, system_connection, mina):
        create_connection(
            mina,
            scope="personal",
            provider="openai_compatible",
            name="Hers",
            base_url="https://8.8.8.8/v1",
            api_key="short",
        )

        told = run("connection", "list")

        rows = {row["name"]: row for row in told}
        assert rows["Ours"]["key"] == "…cdef"
        assert (rows["Hers"]["key"], rows["Hers"]["owner"]) == ("…", "mina")
        assert rows["offline"]["key"] is None
        assert KEY not in str(told)
        assert "NAME" in run("connection", "list", as_json=False)

    def test_test_by_name_and_by_id(self, run, system_connection):
        by_name = run("connection", "test", "Ours")
        by_id = run("connection", "test", str(system_connection.pk))

        assert by_name["models"] == by_id["models"] == ["gpt-4o", "mock"]

    def test_test_fails_with_a_reason(self, run, system_connection, upstream):
        upstream.list_reply = refusal(401, {"message": KEY})

        with pytest.raises(CommandError) as failure:
            run("connection", "test", "Ours")

        assert "does not accept the key" in str(failure.value)
        assert failure.value.returncode == 1
        assert KEY not in str(failure.value)

    def test_test_of_nothing_and_of_too_many(self, run, system_connection, upstream):
        with pytest.raises(CommandError, match="no such connection"):
            run("connection", "test", "nobody", as_json=False)
        run(*add(upstream, "--no-key"))
        with pytest.raises(CommandError, match="use the id"):
            run("connection", "test", "Ours", as_json=False)

    def test_change_renames_and_replaces_the_key(self, run, system_connection):
        words = ("--name", "Theirs", "--key-stdin")
        told = run("connection", "change", "Ours", *words, stdin="other\n")

        assert (told["name"], told["key"]) == ("Theirs", "…")
        system_connection.refresh_from_db()
        assert endpoint_of(system_connection, None).api_key == "other"
        assert run("connection", "change", "Theirs", "--no-key")["key"] is None

    @pytest.mark.parametrize("stdin", ["", "\n", " \n"])
    def test_an_empty_input_instead_of_a_key_changes_nothing(
        self, run, system_connection, upstream, stdin
    ):
        new = ("connection", "add", "--provider", "openai_compatible", "--name", "New")
        for words in (
            ("connection", "change", "Ours", "--name", "Theirs", "--key-stdin"),
            (*new, "--base-url", upstream.url, "--key-stdin"),
        ):
            with pytest.raises(CommandError, match="--no-key") as refused:
                run(*words, stdin=stdin)
            assert refused.value.returncode == 2

        system_connection.refresh_from_db()
        assert system_connection.name == "Ours"
        assert endpoint_of(system_connection, None).api_key == KEY
        assert not Connection.objects.filter(name__in=["New", "Theirs"]).exists()

    @pytest.mark.row("K8")
    def test_change_of_the_address_needs_the_key_anew(self, run, system_connection, upstream):
        moved = ("connection", "change", "Ours", "--base-url", upstream.url + "/x")

        with pytest.raises(CommandError, match="api_key: Enter the key again"):
            run(*moved, as_json=False)

        assert run(*moved, "--key-stdin", stdin=KEY)["base_url"] == upstream.url + "/x"

    def test_change_of_nothing_is_a_usage_error(self, run, system_connection):
        with pytest.raises(CommandError) as refused:
            run("connection", "change", "Ours")

        assert refused.value.returncode == 2

    def test_disable_and_enable(self, run, system_connection):
        here = ("offline", str(system_connection.pk))
        told = run("connection", "disable", *here)
        assert told == {"enabled": False, "connections": ["offline", "Ours"], "changed": 2}
        assert not Connection.objects.filter(enabled=True).exists()

        assert run("connection", "enable", "Ours")["changed"] == 1
        assert run("connection", "enable", "Ours")["changed"] == 0
        assert Connection.objects.get(enabled=True) == system_connection

    def test_nothing_is_switched_where_one_is_not_there(self, run, system_connection):
        with pytest.raises(CommandError, match="no such connection"):
            run("connection", "disable", "Ours", "nobody", as_json=False)

        assert Connection.objects.get(name="Ours").enabled

    def test_delete_takes_the_models_along(self, run, system_model):
        told = run("connection", "delete", "Ours", "--yes")

        assert (told["name"], told["models"]) == ("Ours", 1)
        assert not Connection.objects.filter(name="Ours").exists()
        assert not ChatModel.objects.filter(name="gpt-4o").exists()

    @pytest.mark.parametrize(("typed", "gone"), [("y", True), ("n", False), ("", False)])
    def test_delete_asks_first(self, run, system_model, monkeypatch, typed, gone):
        asked = []

        def ask(question):
            asked.append(question)
            return typed

        monkeypatch.setattr("builtins.input", ask)

        with contextlib.nullcontext() if gone else pytest.raises(CommandError, match="Nothing"):
            run("connection", "delete", "Ours", terminal=True)

        assert asked == ["Delete Ours and its models (1)? [y/N] "]
        assert Connection.objects.filter(name="Ours").exists() is not gone

    def test_delete_without_a_terminal_to_ask_is_a_usage_error(self, run, system_connection):
        with pytest.raises(CommandError, match="--yes") as refused:
            run("connection", "delete", "Ours")

        assert refused.value.returncode == 2
        assert Connection.objects.filter(name="Ours").exists()

    def test_the_built_in_one_is_not_deleted(self, run):
        with pytest.raises(CommandError, match="Disable it instead"):
            run("connection", "delete", "offline", "--yes", as_json=False)


class TestModel:
    def test_list(self, run, system_model):
        [four, offline] = run("model", "list")

        assert (four["name"], four["connection"], four["everyone"]) == ("gpt-4o", "Ours", True)
        assert (four["input_price"], four["output_price"]) == ("2.500000", "10.000000")
        assert offline["name"] == "offline"

    def test_disable_and_enable(self, run, system_model):
        assert run("model", "disable", "gpt-4o")["changed"] == 1
        assert run("model", "disable", "gpt-4o")["changed"] == 0
        assert [row["name"] for row in run("model", "list")] == ["offline"]
        assert len(run("model", "list", "--all")) == 2
        assert run("model", "enable", "gpt-4o")["changed"] == 1

    def test_grant_adds(self, run, system_model, mina, boris):
        told = run("model", "grant", "gpt-4o", "--only", "--role", "agent", "--user", "mina")
        assert (told["everyone"], told["roles"]) == (False, ["agent"])
        assert told["users"] == [str(mina.pk)]

        told = run("model", "grant", "gpt-4o", "--user", "boris")
        assert (told["roles"], len(told["users"])) == (["agent"], 2)

        assert run("model", "grant", "gpt-4o", "--everyone")["everyone"] is True

    def test_revoke_takes_away_and_leaves_the_others(self, run, system_model, mina, boris):
        people = ("--user", "mina", "--user", "boris")
        run("model", "grant", "gpt-4o", "--role", "agent", "--role", "member", *people)

        told = run("model", "revoke", "gpt-4o", "--everyone", "--role", "agent", "--user", "mina")

        assert (told["everyone"], told["roles"]) == (False, ["member"])
        assert told["users"] == [str(boris.pk)]
        with pytest.raises(CommandError) as failure:
            run("model", "revoke", "gpt-4o")
        assert failure.value.returncode == 2

    @pytest.mark.parametrize("whom", [("--user", "mina"), ("--role", "member")])
    def test_revoke_of_a_model_that_stays_open_to_everyone_is_refused(
        self, run, system_model, mina, whom
    ):
        run("model", "grant", "gpt-4o", *whom)

        with pytest.raises(CommandError, match="still open to everyone; add --everyone") as failure:
            run("model", "revoke", "gpt-4o", *whom, as_json=False)

        assert failure.value.returncode == 1
        assert system_model.roles.count() + system_model.users.count() == 1
        assert run("model", "revoke", "gpt-4o", "--everyone", *whom)["changed"] is True
        assert not ChatModel.objects.open_to(mina).filter(name="gpt-4o").exists()

    def test_what_changes_nothing_says_so(self, run, system_model, mina):
        assert run("model", "grant", "gpt-4o", "--everyone")["changed"] is False
        assert run("model", "grant", "gpt-4o", "--only", "--user", "mina")["changed"] is True
        assert run("model", "grant", "gpt-4o", "--user", "mina")["changed"] is False
        assert run("model", "revoke", "gpt-4o", "--role", "agent")["changed"] is False

    def test_a_role_that_was_made_here_is_given_and_taken(self, run, system_model):
        Group.objects.create(name="night shift")

        told = run("model", "grant", "gpt-4o", "--only", "--role", "night shift")
        assert told["roles"] == ["night shift"]

        assert run("model", "revoke", "gpt-4o", "--role", "night shift")["roles"] == []

    @pytest.mark.parametrize("word", ["grant", "revoke"])
    def test_a_role_that_does_not_exist_is_named(self, run, system_model, word):
        with pytest.raises(CommandError, match="There is no role called day shift") as failure:
            run("model", word, "gpt-4o", "--everyone", "--role", "day shift", as_json=False)

        assert failure.value.returncode == 1

    def test_delete(self, run, system_model):
        with pytest.raises(CommandError, match="--yes"):
            run("model", "delete", "gpt-4o")
        assert ChatModel.objects.filter(name="gpt-4o").exists()

        assert run("model", "delete", "gpt-4o", "--yes")["name"] == "gpt-4o"

        assert not ChatModel.objects.filter(name="gpt-4o").exists()
        with pytest.raises(CommandError, match="Disable it instead"):
            run("model", "delete", "offline", "--yes", as_json=False)

    @pytest.mark.parametrize("words", [(), ("--everyone", "--only")])
    def test_grant_needs_to_know_to_whom(self, run, system_model, words):
        with pytest.raises(CommandError) as failure:
            run("model", "grant", "gpt-4o", *words)

        assert failure.value.returncode == 2

    @pytest.mark.parametrize(
        "words",
        [
            ("enable", "nobody-knows"),
            ("grant", "nobody-knows", "--everyone"),
            ("grant", "gpt-4o", "--user", "nobody"),
        ],
    )
    def test_names_that_do_not_exist(self, run, system_model, words):
        with pytest.raises(CommandError) as failure:
            run("model", *words, as_json=False)

        assert failure.value.returncode == 1
