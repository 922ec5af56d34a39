"""The session cookie: bound to a sign-in, guarded by CSRF, second to a bearer (S3, S17-S19)."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.conf import settings as django_settings
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import Role, Session, SignIn, User
from accounts.services import people, sign_ins
from accounts.services.callers import caller_from_session
from tests.accounts.conftest import PASSWORD, problem

pytestmark = pytest.mark.django_db

ME = "/api/v1/users/me"


@pytest.fixture
def root(person):
    person("second", roles=[Role.ADMIN])
    return person("root", roles=[Role.ADMIN])


def browser(**options):
    return Client(**options)


def enter(client, name="root", password=PASSWORD):
    return client.post("/admin/login/?next=/admin/", {"username": name, "password": password})


@pytest.fixture
def signed_in(root):
    client = browser()
    assert enter(client).status_code == 302
    return client


def test_signing_in_on_a_page_makes_a_device_like_any_other(root, signed_in):
    """ARCHITECTURE 6: one row is refresh family and cookie session."""
    sign_in = SignIn.objects.get()

    assert sign_in.user == root
    assert (sign_in.expires_at - sign_in.last_used_at, sign_in.idle_seconds) == (
        timedelta(hours=12),
        3_600,
    )
    assert Session.objects.get().sign_in == sign_in
    assert signed_in.get(ME).json()["username"] == "root"
    assert signed_in.get("/api/v1/users/me/sessions").json()["results"][0]["current"] is True


@pytest.mark.row("S17")
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(signed_in):
    cookie = signed_in.cookies[django_settings.SESSION_COOKIE_NAME]

    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


@pytest.mark.row("S17")
def test_a_fixed_session_id_is_worth_nothing_after_signing_in(root):
    """Renewed at sign-in; the old id stays anonymous."""
    client = browser()
    client.session["x"] = 1
    session = client.session
    session["x"] = 1
    session.save()
    planted = session.session_key
    client.cookies[django_settings.SESSION_COOKIE_NAME] = planted

    enter(client)

    assert client.cookies[django_settings.SESSION_COOKIE_NAME].value != planted
    assert caller_from_session(planted) is None
    thief = browser()
    thief.cookies[django_settings.SESSION_COOKIE_NAME] = planted
    assert problem(thief.get(ME)) == (401, "unauthenticated")


@pytest.mark.row("S17")
@pytest.mark.parametrize("path", ["/", "/admin/", "/admin/accounts/signin/", "/docs", "/redoc", ME])
def test_nothing_that_scripts_can_read_holds_what_opens_the_session(signed_in, path):
    """Neither the page nor a cookie that scripts see; nothing asks a browser to keep a token."""
    answer = signed_in.get(path, headers={"Accept": "text/html"})
    page = answer.content.decode()

    assert answer.status_code == 200
    assert signed_in.cookies[django_settings.SESSION_COOKIE_NAME].value not in page
    assert "eyJ" not in page
    readable = {cookie.key for cookie in signed_in.cookies.values() if not cookie["httponly"]}
    assert readable <= {django_settings.CSRF_COOKIE_NAME}


@pytest.mark.row("S17")
def test_no_script_of_ours_keeps_anything_in_the_browser():
    """What is typed into the reference's form is gone with its page, too."""
    scripts = {path.name: path.read_text() for path in Path("static").rglob("*.js")}

    assert "persistAuthorization: false" in scripts["swagger.js"]
    for name, source in scripts.items():
        assert not re.search(r"(local|session)Storage|indexedDB|document\.cookie", source), name


@pytest.mark.row("S3")
@pytest.mark.parametrize("event", ["suspend", "sign out", "delete", "set inactive"])
def test_the_session_dies_with_its_sign_in(root, signed_in, event):
    """On its next request, in the API and in the admin."""
    assert signed_in.get("/admin/").status_code == 200
    match event:
        case "suspend":
            people.suspend(root, actor=None)
        case "sign out":
            sign_ins.revoke(root.pk)
        case "delete":
            root.delete()
        case _:
            User.objects.filter(pk=root.pk).update(is_active=False)

    assert problem(signed_in.get(ME)) == (401, "unauthenticated")
    assert signed_in.get("/admin/").status_code == 302


@pytest.mark.row("S3")
def test_a_session_set_free_by_a_change_of_rights_loses_them(root, signed_in):
    """Rights are read anew with each request."""
    people.set_roles(root, [Role.MEMBER], actor=None)

    assert signed_in.get("/admin/").status_code == 302
    assert signed_in.get(ME).json()["roles"] == ["member"]


def test_signing_out_ends_the_device(signed_in):
    key = signed_in.cookies[django_settings.SESSION_COOKIE_NAME].value

    signed_in.post("/admin/logout/")

    assert SignIn.objects.get().revoked_at is not None
    assert caller_from_session(key) is None


@pytest.mark.row("M1")
def test_an_admin_session_ends_after_an_hour_without_use(signed_in):
    with time_machine.travel(timezone.now() + timedelta(minutes=50), tick=False) as clock:
        assert signed_in.get("/admin/").status_code == 200
        clock.shift(timedelta(minutes=59))
        assert signed_in.get("/admin/").status_code == 200
        clock.shift(timedelta(minutes=60, seconds=1))
        assert signed_in.get("/admin/").status_code == 302


@pytest.mark.row("M1")
def test_an_admin_session_ends_after_twelve_hours_however_busy(signed_in):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(14):
            clock.shift(timedelta(minutes=50))
            assert signed_in.get("/admin/").status_code == 200
        clock.shift(timedelta(minutes=21))
        assert signed_in.get("/admin/").status_code == 302


@pytest.mark.row("S18")
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_what_changes_something_needs_a_csrf_token(root, method):
    client = browser(enforce_csrf_checks=True)
    client.force_login(root)

    answer = getattr(client, method)(ME, {"display_name": "X"}, content_type="application/json")

    assert problem(answer) == (403, "permission_denied")
    root.refresh_from_db()
    assert root.display_name == ""


def send(client, origin="http://testserver", **extra):
    request = RequestFactory().get("/")
    token = get_token(request)
    client.cookies[django_settings.CSRF_COOKIE_NAME] = request.META["CSRF_COOKIE"]
    headers = {"X-CSRFToken": token} | ({"Origin": origin} if origin else {}) | extra
    return client.patch(ME, {"display_name": "X"}, content_type="application/json", headers=headers)


@pytest.mark.row("S18")
def test_with_a_token_of_ours_from_our_origin_it_works(root):
    client = browser(enforce_csrf_checks=True)
    client.force_login(root)

    assert send(client).status_code == 200


@pytest.mark.row("S18")
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://testserver", "http://testserver:81"]
)
def test_with_a_token_from_elsewhere_it_does_not(root, origin):
    """The Origin must be the site."""
    client = browser(enforce_csrf_checks=True)
    client.force_login(root)

    assert problem(send(client, origin)) == (403, "permission_denied")


@pytest.mark.row("S18")
@pytest.mark.parametrize(
    "referer",
    [
        None,
        "",
        "null",
        "http://testserver:81/c",
        "https://testserver/c",
        "http://evil.example/http://testserver/",
        "http://testserver@evil.example/",
        "http://[",
    ],
)
def test_without_an_origin_the_referer_must_be_the_site_on_plain_http_too(root, referer):
    """A page on another port of the same host gets the same cookies."""
    client = browser(enforce_csrf_checks=True)
    client.force_login(root)
    said = {} if referer is None else {"Referer": referer}

    assert problem(send(client, origin=None, **said)) == (403, "permission_denied")


@pytest.mark.row("S18")
def test_without_an_origin_a_referer_of_ours_will_do(root, settings):
    """By the name that was asked for, or by that of PUBLIC_URL."""
    client = browser(enforce_csrf_checks=True)
    client.force_login(root)
    settings.CSRF_TRUSTED_ORIGINS = ["https://parley.example"]

    for page in ("http://testserver/c/1", "http://testserver:80/", "https://parley.example/c/1"):
        assert send(client, origin=None, Referer=page).status_code == 200


@pytest.mark.row("S18")
def test_a_bearer_needs_neither(root, device):
    client = browser(enforce_csrf_checks=True)

    answer = client.patch(
        ME,
        {"display_name": "X"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {device(root).access}"},
    )

    assert answer.status_code == 200


@pytest.mark.row("S18")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://testserver"}, 302),
        ({"Referer": "http://testserver/admin/login/"}, 302),
        ({"Origin": "http://testserver:81"}, 403),
        ({"Referer": "http://testserver:81/admin/login/"}, 403),
        ({}, 403),
    ],
)
def test_the_login_form_is_taken_from_our_own_page_only(root, headers, status):
    """Login CSRF, with a token of ours."""
    client = browser(enforce_csrf_checks=True)
    token = client.get("/admin/login/").cookies[django_settings.CSRF_COOKIE_NAME].value
    form = {"username": "root", "password": PASSWORD, "csrfmiddlewaretoken": token}

    assert client.post("/admin/login/", form, headers=headers).status_code == status
    assert SignIn.objects.exists() == (status == 302)


@pytest.mark.row("S18")
def test_the_login_form_of_another_site_is_refused(root):
    """Login CSRF."""
    client = browser(enforce_csrf_checks=True)

    answer = enter(client)

    assert answer.status_code == 403
    assert not SignIn.objects.exists()


@pytest.mark.row("S18")
@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
def test_nobody_is_signed_out_by_another_site(root, headers):
    client = browser(enforce_csrf_checks=True)
    client.force_login(root)

    assert client.post("/admin/logout/", headers=headers).status_code == 403
    assert client.get("/admin/logout/").status_code == 405
    assert client.get(ME).status_code == 200


@pytest.mark.row("S18")
def test_a_bad_bearer_beside_a_good_cookie_is_refused(root, signed_in):
    """A bearer alone decides."""
    answer = signed_in.get(ME, headers={"Authorization": "Bearer nonsense"})

    assert problem(answer) == (401, "token_invalid")


@pytest.mark.row("S18")
def test_a_good_bearer_decides_who_it_is(root, person, device, signed_in):
    phone = device(person("mina"))

    answer = signed_in.get(ME, headers={"Authorization": f"Bearer {phone.access}"})

    assert answer.json()["username"] == "mina"


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "x" * 5_000,
        "' OR 1=1 --",
        "",
        r'"\000"' + "0" * 31,
        r'"' + r"\000" * 32 + '"',
        "0" * 32,
    ],
)
def test_a_cookie_of_nobody_is_nobody(value):
    """I4: a quoted cookie may hold NUL, which PostgreSQL answers with an error."""
    cookie = f"{django_settings.SESSION_COOKIE_NAME}={value}"

    assert problem(Client().get(ME, HTTP_COOKIE=cookie)) == (401, "unauthenticated")
    assert Client().get("/admin/", HTTP_COOKIE=cookie).status_code == 302


def test_a_session_tells_who_it_is_in_one_query(root, signed_in, django_assert_num_queries):
    """ARCHITECTURE 6"""
    key = signed_in.cookies[django_settings.SESSION_COOKIE_NAME].value

    with django_assert_num_queries(1):
        caller = caller_from_session(key)

    assert caller
    assert caller.user == root
    assert caller.sign_in
    assert caller.expires_at
    assert caller.expires_at <= caller.sign_in.expires_at
