"""What every HTTP request meets, whatever it asks for."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncRequestFactory

from common.middleware import EdgeMiddleware
from tests.asgi import Request

pytestmark = pytest.mark.django_db(transaction=True)

ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


async def problem(request: Request) -> Any:
    body = await request.read()
    assert request.headers["content-type"] == "application/problem+json"
    found = json.loads(body)
    assert found["status"] == request.status
    assert found["request_id"] == request.headers["x-request-id"]
    return found


@pytest.mark.row("W13")
@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1/nothing", "/api/v1/info/", "/ws/chat", "/v1x", "/static/none.js"]
)
async def test_an_unknown_address_is_a_problem(path):
    """W13: HTTP on a WebSocket path too."""
    found = await problem(Request("GET", path))

    assert (found["status"], found["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/info", "/", "/api/v1/schema"])
async def test_a_wrong_method_is_a_problem(path):
    request = Request("DELETE", path)

    found = await problem(request)

    assert (found["status"], found["code"]) == (405, "method_not_allowed")
    assert "GET" in request.headers["allow"]


@pytest.mark.row("S13", "S20")
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""])
async def test_a_foreign_host_is_refused(host):
    """A name that is not ours is not served."""
    found = await problem(Request("GET", "/info", headers={"Host": host}))

    assert (found["status"], found["code"]) == (400, "invalid")
    assert "evil" not in json.dumps(found)


@pytest.mark.row("I4")
@pytest.mark.parametrize("path", ["/info", "/", "/docs", "/api/v1/users/me", "/nothing"])
@pytest.mark.parametrize(
    "query", ["q=%00", "%00=1", "q=%FF", "q=%ED%A0%80", "a=1&%C3=2", "q=%f0%9f%98"]
)
async def test_a_query_that_is_no_sound_utf8_is_invalid(path, query):
    """I4: on every route."""
    found = await problem(Request("GET", f"{path}?{query}"))

    assert (found["status"], found["code"]) == (400, "invalid")


@pytest.mark.row("I4")
async def test_naked_bytes_in_a_query_are_looked_at_like_those_behind_percent_signs():
    for naked, status in [(b"q=\xff", 400), (b"q=\xed\xa0\x80", 400), ("q=é 😀".encode(), 200)]:
        request = Request("GET", "/info")
        request.scope["query_string"] = naked

        assert await request.begun() == status


async def test_a_sound_query_passes():
    assert await Request("GET", "/info?q=%F0%9F%98%80%25+%EF%BF%BD&%C3%A9=1").begun() == 200


async def test_orchestrators_may_ask_for_health_by_any_name():
    request = Request("GET", "/health/live", headers={"Host": "10.1.2.3:8000"})

    assert await request.begun() == 200


@pytest.mark.row("I12")
async def test_a_sane_request_id_is_kept():
    request = Request("GET", "/info", headers={"X-Request-ID": "abc-123_x.Y"})
    await request.read()

    assert request.headers["x-request-id"] == "abc-123_x.Y"


@pytest.mark.row("I12")
@pytest.mark.parametrize(
    "given", ["short", "a" * 65, "a" * 10_000, "line\nbreak", "semi;colon", ""]
)
async def test_any_other_request_id_is_replaced(given):
    """I12: newline, 10 kB: replaced."""
    request = Request("GET", "/info", headers={"X-Request-ID": given})
    await request.read()

    assert request.headers["x-request-id"] != given
    assert ID.fullmatch(request.headers["x-request-id"])


@pytest.mark.row("X4")
@pytest.mark.parametrize("path", ["/", "/info", "/nothing", "/admin/login/", "/docs", "/api/v1/x"])
async def test_every_answer_has_the_security_headers(path):
    request = Request("GET", path, headers={"Accept": "text/html"})
    await request.read()

    assert request.headers["x-content-type-options"] == "nosniff"
    assert request.headers["referrer-policy"] == "same-origin"
    assert request.headers["cross-origin-opener-policy"] == "same-origin"
    assert "no-store" in request.headers["cache-control"]
    assert "default-src 'none'" in request.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in request.headers["content-security-policy"]
    varies = {name.strip().lower() for name in request.headers["vary"].split(",")}
    assert {"authorization", "cookie", "origin"} <= varies


@pytest.mark.row("X4")
@pytest.mark.parametrize(
    ("path", "status"), [("/info", 200), ("/static/parley/tokens.css", 200), ("/too-large", 413)]
)
async def test_https_is_remembered_by_every_answer(settings, path, status):
    """X4: HSTS on https; also where Django never sees the request."""
    settings.HTTPS = True
    request = Request("GET", path)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        request = Request("POST", path, headers={"Content-Length": str(1 << 30)})

    assert await request.begun() == status
    assert "max-age" in request.headers["strict-transport-security"]
    assert request.headers["x-content-type-options"] == "nosniff"
    assert request.headers["referrer-policy"] == "same-origin"
    assert request.headers["cross-origin-opener-policy"] == "same-origin"


@pytest.mark.row("X3")
async def test_pages_get_the_strict_policy():
    """X3: as PAGES.md section 9 says."""
    request = Request("GET", "/", headers={"Accept": "text/html"})
    body = (await request.read()).decode()
    policy = request.headers["content-security-policy"]

    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=", body)


@pytest.mark.row("X3", "D2")
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_the_reference_runs_scripts_by_nonce_and_from_here(path):
    """X3: a nonce, nothing from elsewhere."""
    request = Request("GET", path)
    body = (await request.read()).decode()
    policy = request.headers["content-security-policy"]
    nonce = re.search(r"'nonce-([^']+)'", policy)

    assert nonce
    assert f'nonce="{nonce[1]}"' in body
    assert not re.search(r"(src|href)=\"(https?:)?//", body)
    assert "unsafe-eval" not in policy


async def test_the_admin_is_found_without_its_slash():
    request = Request("GET", "/admin")
    await request.read()

    assert (request.status, request.headers["location"]) == (302, "/admin/")


@pytest.mark.row("X3")
async def test_the_admin_has_a_policy_of_its_own():
    request = Request("GET", "/admin/login/")
    await request.read()
    policy = request.headers["content-security-policy"]

    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "script-src 'self' 'unsafe-eval' 'unsafe-inline'" not in policy


async def test_problems_follow_the_language_of_the_caller():
    english = await problem(Request("GET", "/nothing", headers={"Accept-Language": "en"}))
    unknown = await problem(Request("GET", "/nothing", headers={"Accept-Language": "xx-\x7f,,;q"}))

    chinese = await problem(Request("GET", "/nothing", headers={"Accept-Language": "zh-CN"}))

    assert english["title"] == unknown["title"] == "There is nothing here."
    assert chinese["title"] == "这里什么都没有。"


@pytest.mark.row("I4")
async def test_a_nul_in_the_path_is_refused():
    found = await problem(Request("GET", "/api/v1/\x00"))

    assert found["status"] in {400, 404}


@pytest.mark.row("E9")
async def test_a_head_gets_headers_alone():
    request = Request("HEAD", "/info")

    await request.read()

    assert request.status == 200


async def test_programs_get_json_at_the_root_and_people_a_page():
    program = Request("GET", "/", headers={"Accept": "*/*"})
    person = Request("GET", "/", headers={"Accept": "text/html,application/xhtml+xml"})

    assert (await program.json())["docs"].endswith("/docs")
    assert b"<h1>" in await person.read()


async def test_info_says_what_clients_need():
    found = await Request("GET", "/info").json()

    assert found == {
        "name": "Parley",
        "version": found["version"],
        "registration_open": True,
        "single_user": False,
        "languages": ["en", "zh-hans"],
    }


@pytest.mark.row("S18")
async def test_a_cross_site_form_is_a_problem():
    """Django's own refusal looks like ours."""
    form = b"username=a&password=b"
    request = Request(
        "POST",
        "/admin/login/",
        body=form,
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "https://evil.example",
        },
    )

    found = await problem(request)

    assert (found["status"], found["code"]) == (403, "permission_denied")


@pytest.mark.row("E9")
async def test_a_head_of_a_stream_reads_none_of_it():
    """E9: HEAD on a stream's address gets a clean answer."""
    begun = []

    async def events():
        begun.append(True)
        yield b": never\n\n"

    async def view(_request):
        return StreamingHttpResponse(events(), content_type="text/event-stream")

    request = AsyncRequestFactory().head("/api/v1/stream")

    answer: Any = EdgeMiddleware(view)(request)
    response = await answer

    assert response.streaming is False
    assert response.content == b""
    assert response["Content-Type"] == "text/event-stream"
    assert "Content-Length" not in response
    assert begun == []


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_no_length(status):
    """RFC 9110, 8.6."""

    async def view(_request):
        return HttpResponse(status=status)

    answer: Any = EdgeMiddleware(view)(AsyncRequestFactory().get("/info"))

    assert "Content-Length" not in await answer
