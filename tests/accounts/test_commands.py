"""`manage.py create_admin` and `manage.py user …`: what they do, print and exit with."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from django.contrib.auth.models import Group

from accounts.models import AuditEntry, Letter, OutgoingMail, Role, User
from accounts.services.people import roles_of
from tests.accounts.conftest import PASSWORD, Api

pytestmark = pytest.mark.django_db


class TestCreateAdmin:
    def test_the_password_comes_by_the_input(self, run):
        words = ("create_admin", "--username", "root", "--email", "root@example.org")

        code, out, _err = run(*words, "--password-stdin", "--format", "json", stdin=PASSWORD + "\n")

        assert code == 0
        user = User.objects.get()
        assert json.loads(out) == {
            "id": str(user.pk),
            "username": "root",
            "email": "root@example.org",
        }
        assert roles_of(user) == ["admin"]
        assert Api().login("root").status_code == 200

    def test_all_of_it_comes_from_the_environment(self, run, settings):
        settings.ADMIN_USERNAME, settings.ADMIN_EMAIL = "root", "root@example.org"
        settings.ADMIN_PASSWORD = PASSWORD

        code, out, _err = run("create_admin")

        assert code == 0
        assert "root@example.org" in out
        assert PASSWORD not in out
        assert User.objects.administrators().count() == 1

    def test_django_s_name_for_it_makes_one_too(self, run, monkeypatch):
        """Django's own command would end in a traceback, or make somebody without the role."""
        answers = iter(["root", "root@example.org"])
        monkeypatch.setattr("builtins.input", lambda _label: next(answers))
        monkeypatch.setattr("getpass.getpass", lambda _label: PASSWORD)

        assert run("createsuperuser", terminal=True)[0] == 0
        assert User.objects.administrators().count() == 1

    def test_people_are_asked(self, run, monkeypatch):
        answers = iter(["root", "root@example.org"])
        monkeypatch.setattr("builtins.input", lambda _label: next(answers))
        monkeypatch.setattr("getpass.getpass", lambda _label: PASSWORD)

        assert run("create_admin", terminal=True)[0] == 0
        assert User.objects.administrators().count() == 1

    @pytest.mark.parametrize("leaving", [KeyboardInterrupt, EOFError])
    @pytest.mark.parametrize("words", [(), ("--username", "root", "--email", "r@example.org")])
    def test_whoever_leaves_a_question_gets_a_sentence(self, run, monkeypatch, words, leaving):
        for asking in ("builtins.input", "getpass.getpass"):
            monkeypatch.setattr(asking, mock.Mock(side_effect=leaving))

        code, _out, err = run("create_admin", *words, terminal=True)

        assert code == 1
        assert "Nothing was changed." in err
        assert not User.objects.exists()

    def test_two_different_passwords_are_refused(self, run, monkeypatch):
        answers = iter(["one fine password", "two fine passwords"])
        monkeypatch.setattr("getpass.getpass", lambda _label: next(answers))

        words = ("--username", "root", "--email", "r@example.org")
        assert run("create_admin", *words, terminal=True)[0] == 2
        assert not User.objects.exists()

    @pytest.mark.parametrize(
        ("words", "missing"),
        [
            ((), "--username"),
            (("--username", "r"), "--email"),
            (("--username", "r", "--email", "e"), "--password-stdin"),
        ],
    )
    def test_with_nobody_to_ask_it_says_what_is_missing(self, run, words, missing):
        code, _out, err = run("create_admin", *words)

        assert code == 2
        assert missing in err

    def test_a_refusal_names_the_field_and_exits_1(self, run, mina):
        words = ("create_admin", "--username", "MINA", "--email", "root@example.org")

        code, out, err = run(*words, "--password-stdin", stdin=PASSWORD)
        assert (code, out) == (1, "")
        assert "username" in err

        code, out, err = run(*words, "--password-stdin", "--format", "json", stdin="short")
        assert (code, out) == (1, "")
        assert set(json.loads(err)["errors"]) == {"username", "password"}
        assert not User.objects.administrators().exists()


class TestUser:
    def test_list_shows_people_in_columns(self, run, person):
        person("mina", email="mina@example.org")
        person("李小龙", email="li@example.org")

        code, out, _err = run("user", "list")

        lines = out.splitlines()
        assert code == 0
        assert lines[0].split() == ["ID", "USERNAME", "EMAIL", "ROLES", "ACTIVE", "CREATED", "AT"]
        assert len(lines) == 3
        # A Chinese character is two columns wide.
        assert lines[1].index("li@example.org") + 3 == lines[2].index("mina@example.org")

    def test_list_can_be_read_by_programs_and_narrowed(self, run, person):
        person("mina")
        person("olga", roles=[Role.AGENT])
        person("gone", is_active=False)

        def names(*words):
            return [
                row["username"]
                for row in json.loads(run("user", "list", "--format", "json", *words)[1])
            ]

        assert names() == ["gone", "olga", "mina"]
        assert names("--search", "OLG") == ["olga"]
        assert names("--search", "mina@example") == ["mina"]
        assert names("--role", "agent") == ["olga"]
        assert names("--suspended") == ["gone"]
        assert names("--limit", "1") == ["gone"]
        assert names("--search", "nobody") == []

    @pytest.mark.parametrize("words", [("list",), ("create", "olga", "olga@example.org")])
    def test_a_role_that_does_not_exist_is_named(self, run, words):
        code, out, err = run("user", *words, "--role", "agnet")

        assert (code, out) == (1, "")
        assert "role: There is no role called agnet." in err

    def test_show_tells_about_one(self, run, mina, device):
        device(mina)

        shown = json.loads(run("user", "show", "MINA@example.org", "--format", "json")[1])

        assert shown["id"] == str(mina.pk)
        assert shown["devices"] == ["tests (203.0.113.7)"]
        assert "password" not in str(shown)
        assert "mina@example.org" in run("user", "show", "mina")[1]

    @pytest.mark.row("S3")
    def test_suspend_and_activate(self, run, mina, device):
        phone = device(mina)

        code, out, _err = run("user", "suspend", "mina", "--format", "json")
        assert (code, json.loads(out)["active"]) == (0, False)
        assert not phone.works()

        assert run("user", "activate", "mina")[0] == 0
        assert Api().login("mina").status_code == 200

    def test_set_role_gives_exactly_these(self, run, mina):
        code, out, _err = run("user", "set-role", "mina", "agent", "supervisor", "--format", "json")

        assert code == 0
        assert json.loads(out)["roles"] == ["supervisor", "agent"]
        assert roles_of(mina) == ["supervisor", "agent"]

    @pytest.mark.parametrize("word", ["show", "suspend", "activate", "delete"])
    def test_nobody_is_not_found(self, run, word):
        code, out, err = run("user", word, "nobody")

        assert (code, out) == (1, "")
        assert "nobody" in err

    @pytest.mark.row("M5")
    def test_the_last_administrator_stays(self, run, person):
        person("root", roles=[Role.ADMIN])

        for words in (
            ("suspend", "root"),
            ("set-role", "root", "member"),
            ("delete", "root", "--yes"),
        ):
            code, _out, err = run("user", *words, "--format", "json")
            assert (code, json.loads(err)["code"]) == (1, "conflict")

    def test_create_makes_a_member_who_can_sign_in(self, run):
        words = ("user", "create", "olga", "olga@example.org", "--format", "json")

        code, out, _err = run(*words, "--password-stdin", stdin=PASSWORD + "\n")

        assert (code, json.loads(out)["roles"]) == (0, ["member"])
        assert Api().login("olga").status_code == 200
        assert AuditEntry.objects.get(action="user.created").actor_id is None

    def test_create_gives_the_roles_that_are_named(self, run):
        words = ("user", "create", "olga", "olga@example.org", "--role", "agent")

        run(*words, "--role", "supervisor", "--password-stdin", stdin=PASSWORD)

        assert roles_of(User.objects.get()) == ["supervisor", "agent"]

    def test_create_gives_roles_of_one_s_own_making(self, run):
        Group.objects.create(name="night shift")
        words = ("user", "create", "olga", "olga@example.org", "--role", "night shift")

        assert run(*words, "--password-stdin", stdin=PASSWORD)[0] == 0

        assert roles_of(User.objects.get()) == ["night shift"]

    def test_create_says_what_cannot_be(self, run, mina):
        words = ("user", "create", "MINA", "olga@example.org", "--password-stdin")

        code, out, err = run(*words, stdin="short")

        assert (code, out) == (1, "")
        assert "username" in err
        assert "password" in err
        assert run("user", "create", "olga", "olga@example.org")[0] == 2  # nobody to ask
        assert User.objects.count() == 1

    def test_delete_erases_once_somebody_said_yes(self, run, mina, monkeypatch):
        assert run("user", "delete", "mina")[0] == 2  # nobody to ask
        monkeypatch.setattr("builtins.input", lambda _question: "")
        code, _out, err = run("user", "delete", "mina", terminal=True)
        assert (code, "Nothing was changed." in err) == (1, True)
        assert User.objects.filter(pk=mina.pk).exists()

        def agree(question):
            assert "mina (mina@example.org)" in question
            return "y"

        monkeypatch.setattr("builtins.input", agree)
        assert run("user", "delete", "mina", terminal=True)[0] == 0

        assert not User.objects.filter(pk=mina.pk).exists()

    def test_delete_can_be_told_not_to_ask(self, run, mina):
        code, out, _err = run("user", "delete", "mina@example.org", "--yes", "--format", "json")

        assert (code, json.loads(out)) == (0, {"id": str(mina.pk), "username": "mina"})
        assert not User.objects.exists()

    def test_an_unknown_role_is_refused(self, run, mina):
        assert run("user", "set-role", "mina", "emperor")[0] == 1

    def test_names_cannot_command_the_terminal(self, run, person):
        person("mina", display_name="\x1b[2Jgone\r\n")

        out = run("user", "show", "mina")[1]

        assert "\x1b" not in out
        assert "gone" in out


@pytest.mark.parametrize(
    "words", [["user"], ["user", "dance"], ["user", "show"], ["user", "list", "--format", "xml"]]
)
def test_a_wrong_command_line_exits_2(words, capsys):
    from django.core.management import ManagementUtility  # noqa: PLC0415

    with pytest.raises(SystemExit) as end:
        ManagementUtility(["manage.py", *words]).execute()

    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


class TestAddresses:
    def test_a_new_one_counts_at_once_and_that_is_recorded(self, run, person):
        mina = person("mina")

        code, out, _err = run("user", "set-email", "mina", "new@example.net", "--format", "json")

        assert (code, json.loads(out)["email"]) == (0, "new@example.net")
        assert Api().login("new@example.net").status_code == 200
        entry = AuditEntry.objects.get(action="user.email_changed")
        assert (entry.target_id, entry.who) == (str(mina.pk), "Parley")

    def test_that_of_somebody_else_is_refused(self, run, person):
        person("mina")
        person("olga")

        code, _out, err = run("user", "set-email", "mina", "olga@example.org")

        assert code == 1
        assert "email" in err
        assert User.objects.named("mina").get().email == "mina@example.org"

    def test_a_link_for_a_new_password_is_mailed(self, run, person):
        mina = person("mina")

        assert run("user", "send-link", "mina")[0] == 0

        letter = OutgoingMail.objects.get()
        assert (letter.letter, letter.address) == (Letter.RESET, "mina@example.org")
        entry = AuditEntry.objects.get(action="password.link_sent")
        assert (entry.target_id, entry.who) == (str(mina.pk), "Parley")
        assert run("user", "send-link", "nobody")[0] == 1

    def test_no_link_goes_to_somebody_who_is_suspended(self, run, person):
        person("mina", is_active=False)

        code, _out, err = run("user", "send-link", "mina")

        assert code == 1
        assert "suspended" in err
        assert not OutgoingMail.objects.exists()
        assert not AuditEntry.objects.filter(action="password.link_sent").exists()


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "ten", "9" * 20, "\u0663"])
def test_how_many_is_a_number_in_reason(run, number):
    _code, out, err = run("user", "list", "--limit", number)

    assert out == ""
    assert "a number from 1 to 1000000" in err


def test_a_list_of_nobody_says_so_and_prints_no_row(run):
    assert run("user", "list") == (0, "", "There is nothing to show.\n")
    assert run("user", "list", "--format", "json")[1].strip() == "[]"
