"""SINGLE_USER: the owner need not sign in on this machine, and everybody else must (S20)."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.errors import ForeignOrigin
from accounts.models import Role, SignIn, User
from accounts.services import api_keys, people
from accounts.services.callers import caller_from_handshake
from accounts.services.owner import ensure as ensure_owner
from common.errors import Conflict, Unauthenticated
from config import start
from tests.accounts.conftest import PASSWORD, Api, at_once, page, problem

pytestmark = pytest.mark.django_db

HERE = "localhost:8000"
SITE = f"http://{HERE}"
# What a request has that comes from elsewhere, or from another page.
ELSEWHERE = [
    {"REMOTE_ADDR": "192.168.1.5"},
    {"REMOTE_ADDR": "203.0.113.7"},
    {"HTTP_X_FORWARDED_FOR": "203.0.113.7"},
    {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
    {"HTTP_X_REAL_IP": "127.0.0.1"},
    {"HTTP_FORWARDED": "for=127.0.0.1"},
    {"HTTP_X_FORWARDED_HOST": HERE},
    {"HTTP_VIA": "1.1 proxy"},
    {"HTTP_ORIGIN": "https://evil.example"},
    {"HTTP_ORIGIN": "http://localhost:3000"},
    {"HTTP_ORIGIN": "http://localhost.evil.example:8000"},
    {"HTTP_ORIGIN": "null"},
    {"HTTP_ORIGIN": ""},
    {"HTTP_SEC_FETCH_SITE": "cross-site"},
    {"HTTP_SEC_FETCH_SITE": "same-site"},
]


@pytest.fixture(autouse=True)
def _at_home(settings):
    settings.SINGLE_USER = True
    settings.PUBLIC_URL = SITE
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
    settings.CORS_ORIGINS = ["http://localhost:3000"]


@pytest.fixture
def owner(db) -> User:
    return ensure_owner()


def ask(method="GET", path="users/me", body=None, **extra):
    return Api("127.0.0.1").call(method, path, body, **{"HTTP_HOST": HERE} | extra)


def told(**extra):
    return Api("127.0.0.1").get("/info", **{"HTTP_HOST": HERE} | extra).json()["single_user"]


class TestAtHome:
    @pytest.mark.parametrize(
        "extra",
        [
            {},
            {"REMOTE_ADDR": "::1"},
            {"HTTP_HOST": "127.0.0.1:8000"},
            {"HTTP_ORIGIN": SITE, "HTTP_SEC_FETCH_SITE": "same-origin"},
            {"HTTP_SEC_FETCH_SITE": "none"},
        ],
    )
    def test_nobody_need_say_who_they_are(self, owner, extra):
        answer = ask(**extra)

        assert answer.status_code == 200, answer.content
        assert answer.json()["username"] == "owner"
        assert answer.json()["roles"] == ["admin"]
        assert told(**extra) is True
        assert not SignIn.objects.exists()

    @pytest.mark.parametrize("extra", ELSEWHERE, ids=str)
    def test_elsewhere_everybody_must(self, owner, extra):
        assert problem(ask(**extra)) == (401, "unauthenticated")
        assert told(**extra) is False

    @pytest.mark.row("S20")
    def test_a_page_on_a_name_that_resolves_to_this_machine_is_refused(self, owner):
        """Page on a name that resolves to 127.0.0.1: 400."""
        evil = {"HTTP_HOST": "evil.example:8000", "HTTP_ORIGIN": "http://evil.example:8000"}

        assert problem(ask(**evil)) == (400, "invalid")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SINGLE_USER", False),
            ("ALLOWED_HOSTS", ["localhost", "*"]),
            ("TRUSTED_PROXIES", ["127.0.0.1"]),
        ],
    )
    def test_where_nobody_can_tell_everybody_signs_in(self, owner, settings, name, value):
        setattr(settings, name, value)

        assert problem(ask()) == (401, "unauthenticated")
        assert told() is False

    def test_what_changes_something_comes_as_json(self, owner):
        """A form of another page could send anything else."""
        sent = {"HTTP_HOST": HERE, "REMOTE_ADDR": "127.0.0.1"}

        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = Client().generic("PATCH", "/api/v1/settings", b"{}", kind, **sent)
            assert problem(answer) == (415, "unsupported_media_type")
        assert problem(Client().delete("/api/v1/users/me", **sent)) == (
            415,
            "unsupported_media_type",
        )
        assert ask("PATCH", "settings", {"site_name": "Mine"}).json()["site_name"] == "Mine"

    @pytest.mark.row("S18")
    @pytest.mark.parametrize("credential", ["Bearer nonsense", "Bearer", "Basic b3duZXI6eA=="])
    def test_a_credential_alone_decides(self, owner, credential):
        assert ask(HTTP_AUTHORIZATION=credential).status_code == 401

    def test_a_second_account_ends_it(self, owner, settings, person):
        """Made past Parley, or before SINGLE_USER was set: who would the owner be?"""
        settings.SINGLE_USER = False
        person("mina")
        settings.SINGLE_USER = True

        assert problem(ask()) == (401, "unauthenticated")

    @pytest.mark.row("K3")
    def test_a_key_gets_what_its_scopes_say_in_whatever_header(self, owner):
        """A key in a header that is no door is nobody, not the owner."""
        key = api_keys.create(owner, name="x", scopes=["chat"], actor=owner).text

        assert ask(path="conversations", HTTP_AUTHORIZATION=f"Bearer {key}").status_code == 200
        assert problem(ask(HTTP_AUTHORIZATION=f"Bearer {key}")) == (403, "permission_denied")
        assert problem(ask(HTTP_X_API_KEY=key)) == (401, "unauthenticated")
        scope = {"client": ("127.0.0.1", 1), "headers": [(b"host", HERE.encode())]}
        assert caller_from_handshake(scope).user == owner
        with pytest.raises(Unauthenticated):
            caller_from_handshake(
                scope | {"headers": [*scope["headers"], (b"x-api-key", key.encode())]}
            )


class TestSockets:
    def scope(self, **changed):
        headers = {"host": HERE} | changed.pop("headers", {})
        return {
            "type": "websocket",
            "scheme": "ws",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "subprotocols": [],
            "client": ("127.0.0.1", 5000),
        } | changed

    @pytest.mark.parametrize("headers", [{}, {"origin": SITE}, {"cookie": f"session={'x' * 32}"}])
    def test_are_the_owner_s_at_home(self, owner, headers):
        if "cookie" in headers:
            headers = headers | {"origin": SITE}

        caller = caller_from_handshake(self.scope(headers=headers))

        assert (caller.user, caller.sign_in) == (owner, None)

    @pytest.mark.parametrize(
        ("changed", "refusal"),
        [
            ({"headers": {"origin": "https://evil.example"}}, ForeignOrigin),
            ({"headers": {"origin": "http://localhost:3000"}}, ForeignOrigin),
            ({"headers": {"origin": "null"}}, ForeignOrigin),
            ({"headers": {"host": "evil.example:8000"}}, Unauthenticated),
            ({"headers": {"x-forwarded-for": "127.0.0.1"}}, Unauthenticated),
            ({"client": ("192.168.1.5", 5000)}, Unauthenticated),
        ],
        ids=str,
    )
    def test_are_nobody_s_elsewhere(self, owner, changed, refusal):
        with pytest.raises(refusal):
            caller_from_handshake(self.scope(**changed))


class TestTheAdmin:
    def test_lets_the_owner_in_without_a_form(self, owner):
        client = Client(REMOTE_ADDR="127.0.0.1", HTTP_HOST=HERE)

        shown = client.get("/admin/", follow=True)

        assert shown.status_code == 200
        assert shown.wsgi_request.user == owner
        assert client.get(page("accounts_user_changelist")).status_code == 200

    def test_asks_everybody_else(self, owner):
        client = Client(REMOTE_ADDR="192.168.1.5", HTTP_HOST=HERE)

        shown = client.get("/admin/", follow=True)

        assert shown.request["PATH_INFO"] == "/admin/login/"
        assert not SignIn.objects.exists()


class TestThereIsOnePerson:
    def test_made_once_and_without_password(self):
        assert start.furnish() is True
        assert start.furnish() is True

        owner = User.objects.get()
        assert (owner.username, people.roles_of(owner)) == ("owner", ["admin"])
        assert not owner.has_usable_password()
        assert Api().login("owner", "").status_code in {400, 401}

    def test_who_signs_in_by_password_from_elsewhere_where_there_is_one(self, settings):
        settings.ADMIN_PASSWORD = PASSWORD

        start.furnish()

        assert (
            Api()
            .client.post(
                "/api/v1/auth/login",
                {"username": "owner", "password": PASSWORD},
                content_type="application/json",
                headers={"host": HERE},
            )
            .json()["user"]["username"]
            == "owner"
        )

    def test_and_gets_one_later(self, owner, settings):
        settings.ADMIN_PASSWORD = PASSWORD

        start.furnish()

        assert User.objects.get().check_password(PASSWORD)

    def test_by_the_name_of_the_environment(self, settings):
        settings.ADMIN_USERNAME, settings.ADMIN_EMAIL = "ruth", "ruth@example.org"
        settings.ADMIN_PASSWORD = PASSWORD

        start.furnish()

        assert ask().json()["username"] == "ruth"

    def test_who_was_there_before_is_the_one(self, settings, root):
        start.furnish()

        assert ask().json()["username"] == "root"

    @pytest.mark.parametrize("people_", [["admin", "member"], ["member"]])
    def test_with_others_it_does_not_start(self, settings, person, people_):
        settings.SINGLE_USER = False
        for number, role in enumerate(people_):
            person(f"person{number}", roles=[role])
        settings.SINGLE_USER = True

        with pytest.raises(start.CannotStart, match=r"^SINGLE_USER: ") as refusal:
            start.furnish()

        assert "\n" not in str(refusal.value)

    def test_nobody_else_comes(self, owner, settings):
        registration = Api("127.0.0.1").post(
            "auth/register",
            {"username": "mina", "email": "mina@example.org", "password": PASSWORD},
            HTTP_HOST=HERE,
        )
        asked = {"username": "olga", "email": "olga@example.org", "password": PASSWORD}

        assert problem(registration) == (403, "registration_closed")
        assert problem(ask("POST", "users", asked)) == (409, "conflict")
        with pytest.raises(Conflict):
            people.create(**asked, roles=[Role.ADMIN], actor=None)
        assert User.objects.get() == owner

    @pytest.mark.django_db(transaction=True)
    def test_of_four_processes_at_once_one_makes_it(self, db):
        made = at_once(4, lambda _: ensure_owner())

        assert {user.pk for user in made} == {User.objects.get().pk}
