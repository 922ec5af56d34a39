"""Settings that people change while Parley runs: who sees them, who changes them, what counts."""

from __future__ import annotations

import io
import json

import pytest
from constance import config
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client
from openapi_schema_validator import OAS30Validator

from accounts.models import AuditAction, AuditEntry
from common import runtime_settings
from models_registry.models import ChatModel, Connection
from tests.accounts.conftest import Api, page, problem

pytestmark = pytest.mark.django_db

PUBLIC = {"site_name": "Parley", "registration_open": True, "default_model": ""}
PRIVATE = {
    "automatic_titles": True,
    "title_model": "",
    "automatic_summaries": True,
    "running_turns_per_user": 50,
    "hold_output_tokens": 2_048,
    "hard_limits": False,
}
DESK = "constance_config_changelist"


@pytest.fixture
def chief(root, device):
    return device(root)


@pytest.fixture
def system_model(db):
    connection = Connection.objects.create(name="ours", provider="openai_compatible")
    return ChatModel.objects.create(name="ours/best", connection=connection, upstream_name="x")


def changes():
    entries = AuditEntry.objects.filter(action=AuditAction.SETTINGS_CHANGED).order_by("id")
    return [(entry.who, entry.before, entry.after) for entry in entries]


class TestLooking:
    def test_everybody_sees_the_public_ones(self, mina, device):
        assert Api().get("settings").json() == PUBLIC
        assert device(mina).call("GET", "settings").json() == PUBLIC

    def test_who_may_change_them_sees_all(self, chief):
        assert chief.call("GET", "settings").json() == PUBLIC | PRIVATE

    def test_the_schema_fits_what_the_environment_says(self, chief, settings):
        """LIMIT_FACTOR has no bounds of its own for each of them, nor has a name."""
        settings.RUNNING_TURNS_PER_USER, settings.SITE_NAME = 50 * 1_000_000, "x" * 81
        schema = chief.call("GET", "schema").json()
        named = "#/components/schemas/Settings"

        shown = chief.call("GET", "settings").json()

        assert (shown["running_turns_per_user"], shown["site_name"]) == (50_000_000, "x" * 81)
        OAS30Validator({"$ref": named, "components": schema["components"]}).validate(shown)

    @pytest.mark.row("S18")
    def test_a_bad_token_is_refused_all_the_same(self):
        """When a bearer is present it alone decides."""
        answer = Api().get("settings", HTTP_AUTHORIZATION="Bearer nonsense")

        assert problem(answer) == (401, "token_invalid")


class TestChanging:
    def test_counts_at_once_and_is_on_record(self, chief):
        changed = chief.call(
            "PATCH", "settings", {"registration_open": False, "site_name": "Chat 家"}
        )

        assert changed.json() == PUBLIC | PRIVATE | {
            "registration_open": False,
            "site_name": "Chat 家",
        }
        closed = Api().post("auth/register", {})
        assert problem(closed) == (403, "registration_closed")
        told = Api().get("/info").json()
        assert (told["name"], told["registration_open"]) == ("Chat 家", False)
        assert changes() == [
            (
                "root",
                {"registration_open": True, "site_name": "Parley"},
                {"registration_open": False, "site_name": "Chat 家"},
            )
        ]

    def test_is_seen_by_another_process_when_it_looks_again(self, chief, settings, monkeypatch):
        settings.RUNTIME_SETTINGS_SECONDS = 5
        now = [1_000.0]
        monkeypatch.setattr(runtime_settings.time, "monotonic", lambda: now[0])
        runtime_settings.forget()
        other = runtime_settings.Backend()
        assert other.get("hold_output_tokens") == 2_048

        chief.call("PATCH", "settings", {"hold_output_tokens": 99})

        assert config.hold_output_tokens == 99
        assert other.get("hold_output_tokens") == 2_048
        now[0] += 5
        assert other.get("hold_output_tokens") == 99

    def test_the_same_value_again_is_no_news(self, chief):
        chief.call("PATCH", "settings", {"site_name": "Parley"})

        assert changes() == []

    def test_null_is_the_way_back_to_the_environment(self, chief, settings):
        chief.call("PATCH", "settings", {"registration_open": False})
        settings.REGISTRATION_OPEN = True

        back = chief.call("PATCH", "settings", {"registration_open": None})

        assert back.json()["registration_open"] is True
        assert runtime_settings.stored() == set()
        assert changes()[-1][1:] == ({"registration_open": False}, {"registration_open": True})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("registration_open", "false"),
            ("registration_open", 0),
            ("site_name", ""),
            ("site_name", "  "),
            ("site_name", "x" * 81),
            ("site_name", "two\nlines"),
            ("default_model", "no-such-model"),
            ("title_model", "no-such-model"),
            ("running_turns_per_user", 0),
            ("running_turns_per_user", True),
            ("running_turns_per_user", 1.5),
            ("hold_output_tokens", 2**60),
        ],
    )
    def test_what_cannot_be_is_named_and_nothing_is_stored(self, chief, name, value):
        answer = chief.call("PATCH", "settings", {"registration_open": False} | {name: value})

        assert problem(answer) == (400, "invalid")
        assert list(answer.json()["errors"]) == [name]
        assert runtime_settings.stored() == set()

    def test_the_default_model_is_a_system_model_that_is_switched_on(self, chief, system_model):
        asked = {"default_model": "ours/best"}
        assert chief.call("PATCH", "settings", asked).json()["default_model"] == "ours/best"

        system_model.enabled = False
        system_model.save()
        assert problem(chief.call("PATCH", "settings", asked)) == (400, "invalid")
        assert chief.call("PATCH", "settings", {"default_model": ""}).status_code == 200

    def test_needs_the_permission(self, person, device, settings):
        boss = person("boss", roles=["supervisor"])
        asked = {"registration_open": False}

        assert problem(Api().call("PATCH", "settings", asked)) == (401, "unauthenticated")
        assert problem(device(boss).call("PATCH", "settings", asked)) == (403, "permission_denied")
        assert runtime_settings.stored() == set()

        boss.user_permissions.add(Permission.objects.get(codename="change_config"))
        assert device(boss).call("PATCH", "settings", asked).status_code == 200

    @pytest.mark.row("A4")
    def test_what_is_no_setting_is_ignored(self, chief):
        """Security switches are the environment's alone."""
        answer = chief.call("PATCH", "settings", {"single_user": True, "allowed_hosts": "*"})

        assert answer.json() == PUBLIC | PRIVATE
        assert runtime_settings.stored() == set()


class TestInTheAdmin:
    def fields(self, desk, **changed):
        form = desk.get(page(DESK)).context["form"]
        shown = {name: form.initial[name] for name in PUBLIC | PRIVATE} | changed
        sent = {name: value for name, value in shown.items() if value is not False}
        return {"version": form.initial["version"], **sent}

    def test_a_change_goes_through_the_service(self, desk):
        answer = desk.post(page(DESK), self.fields(desk, registration_open=False))

        assert answer.status_code == 302
        assert changes() == [("root", {"registration_open": True}, {"registration_open": False})]
        assert runtime_settings.stored() == {"registration_open"}

    def test_a_refusal_stands_beside_its_field(self, desk):
        answer = desk.post(
            page(DESK), self.fields(desk, hold_output_tokens=0, default_model="no-such-model")
        )

        assert answer.status_code == 200
        assert set(answer.context["form"].errors) == {"hold_output_tokens", "default_model"}
        assert changes() == []

    def test_needs_the_permission(self, person):
        client = Client()
        client.force_login(person("boss", roles=["supervisor"], is_staff=True))

        assert client.get(page(DESK)).status_code == 403


class TestByCommand:
    def run(self, *words):
        out = io.StringIO()
        call_command("settings", *words, "--format", "json", stdout=out)
        return json.loads(out.getvalue())

    def test_get_set_list_and_reset(self, settings):
        assert self.run("get", "registration_open")["value"] is True
        assert self.run("set", "registration_open", "false")["value"] is False
        assert self.run("set", "hold_output_tokens", "512")["value"] == 512
        stored = {row["name"]: row["value"] for row in self.run("list") if row["stored"]}
        assert stored == {"registration_open": False, "hold_output_tokens": 512}
        assert self.run("reset", "hold_output_tokens")["value"] == 2_048
        assert [who for who, _before, _after in changes()] == ["Parley"] * 3

    @pytest.mark.parametrize(
        "words",
        [
            ("get", "nothing"),
            ("set", "nothing", "1"),
            ("set", "registration_open", "perhaps"),
            ("set", "hold_output_tokens", "٣"),
            ("set", "hold_output_tokens", "-5"),
            ("set", "default_model", "no-such-model"),
            ("reset", "nothing"),
        ],
    )
    def test_what_cannot_be_exits_1(self, words):
        with pytest.raises(CommandError) as refused:
            call_command("settings", *words)

        assert refused.value.returncode == 1
        assert runtime_settings.stored() == set()
