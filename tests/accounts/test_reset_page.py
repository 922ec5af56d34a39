"""The plain form behind the mailed link (S18, X3, X4)."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.accounts.conftest import Api, problem

pytestmark = pytest.mark.django_db

NEW = "another fine password"


def reset(link, password=NEW):
    return Api().post("auth/reset-password", link | {"password": password})


def open_page(link):
    return Client().get("/reset-password", link)


def fill(link, password=NEW, client=None):
    return (client or Client()).post("/reset-password", link | {"password": password})


def test_opening_it_shows_a_form_and_spends_nothing(link):
    answer = open_page(link)

    assert answer.status_code == 200
    html = answer.content.decode()
    assert 'name="password"' in html
    assert "mina" in html
    assert open_page(link).status_code == 200
    assert reset(link).status_code == 204


def test_the_form_sets_the_password(link):
    answer = fill(link)

    assert answer.status_code == 200
    assert "Your password is set" in answer.content.decode()
    assert Api().login("mina", NEW).status_code == 200
    assert "does not work" in fill(link).content.decode()


@pytest.mark.parametrize("password", ["", "short77", "password", "x" * 129, "a\x00bcdefghi"])
def test_a_refused_password_is_told_beside_the_field(link, password):
    answer = fill(link, password)

    assert answer.status_code == 400
    html = answer.content.decode()
    assert 'class="error"' in html
    assert 'name="password"' in html
    assert f'value="{password}"' not in html
    assert fill(link).status_code == 200


@pytest.mark.parametrize("change", [{"token": "x"}, {"uid": "x"}, {"token": ""}])
def test_a_dead_link_says_so(link, change):
    for answer in (open_page(link | change), fill(link | change)):
        assert answer.status_code == 400
        assert "This link does not work" in answer.content.decode()
    assert reset(link).status_code == 204


def test_a_link_that_is_no_text_is_refused(link):
    """I4"""
    assert open_page(link | {"uid": "\x00"}).status_code == 400


@pytest.mark.row("S18")
def test_it_needs_a_csrf_token_from_our_own_page(link):
    client = Client(enforce_csrf_checks=True)

    assert fill(link, client=client).status_code == 403

    page = client.get("/reset-password", link)
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())
    filled = link | {"csrfmiddlewaretoken": token}
    assert fill(filled, client=client).status_code == 403
    client.defaults["HTTP_ORIGIN"] = "http://testserver"
    assert fill(filled, client=client).status_code == 200


def test_it_runs_no_script_and_lets_nobody_frame_or_keep_it(link):
    """X3, X4"""
    answer = open_page(link)

    html = answer.content.decode()
    assert not re.search(r"<script|<style|\son\w+=|\sstyle=", html)
    policy = answer["Content-Security-Policy"]
    for directive in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ):
        assert directive in policy
    assert answer["Cache-Control"] == "no-store"
    assert answer["Referrer-Policy"] == "same-origin"


def test_another_method_is_refused():
    assert problem(Client().put("/reset-password")) == (405, "method_not_allowed")


def test_what_the_link_carries_is_shown_as_text(link):
    answer = fill(link | {"uid": link["uid"], "token": link["token"]}, '"><b>')

    assert '"><b>' not in answer.content.decode()
