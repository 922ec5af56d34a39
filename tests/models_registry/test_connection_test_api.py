"""O8, K10: does a connection work? Told in words that map no network."""

import socket

import pytest

from models_registry.models import Connection
from models_registry.services import connection_tests
from models_registry.services.connections import create_connection
from tests.accounts.conftest import problem
from tests.models_registry.conftest import KEY
from tests.models_registry.upstream import HANG, Reply, refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def hers(mina, upstream, settings):
    settings.ALLOW_PRIVATE_UPSTREAMS = True
    return create_connection(
        mina,
        scope="personal",
        provider="openai_compatible",
        name="Hers",
        base_url=upstream.url,
        api_key=KEY,
    )


def test_one_that_works(api, mina, hers, upstream):
    answer = api(mina).post(f"connections/{hers.pk}/test")

    told = answer.json()
    assert answer.status_code == 200
    assert (told["ok"], told["models"]) == (True, ["gpt-4o", "mock"])
    assert isinstance(told["latency_ms"], int)
    assert upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.row("O8")
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key(api, mina, hers, upstream, status):
    upstream.list_reply = refusal(status, {"message": f"wrong key {KEY}"})

    told = api(mina).post(f"connections/{hers.pk}/test").json()

    assert told == {
        "ok": False,
        "code": "upstream_error",
        "detail": "The server does not accept this key.",
    }


@pytest.mark.row("O8")
@pytest.mark.parametrize(
    "reply",
    [
        refusal(404),
        refusal(500),
        refusal(429),
        Reply((b"<html>",), content_type="text/html"),
        Reply((b'{"data": 7}',), content_type="application/json"),
        Reply((b'{"data": [7]}',), content_type="application/json"),
        Reply((b"[]",), content_type="application/json"),
    ],
)
def test_a_server_of_another_kind(api, mina, hers, upstream, reply):
    upstream.list_reply = reply

    told = api(mina).post(f"connections/{hers.pk}/test").json()

    assert told["detail"] == "The server does not speak this protocol."


@pytest.mark.row("O8")
def test_open_closed_silent_and_filtered_ports_look_alike(api, mina, hers, upstream, monkeypatch):
    monkeypatch.setattr(connection_tests, "TEST_SECONDS", 0.3)
    told = []

    upstream.list_reply = Reply((b"220 smtp.example\r\n\r\n",), raw=True)  # open, not HTTP
    told.append(api(mina).post(f"connections/{hers.pk}/test").json())
    upstream.list_reply = Reply((HANG,), raw=True)  # silent
    told.append(api(mina).post(f"connections/{hers.pk}/test").json())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        Connection.objects.filter(pk=hers.pk).update(base_url=url)
        told.append(api(mina).post(f"connections/{hers.pk}/test").json())  # closed
        taken.listen(0)
        queue = [socket.socket() for _ in range(3)]
        for waiting in queue:
            waiting.setblocking(False)
            waiting.connect_ex(taken.getsockname())
        told.append(api(mina).post(f"connections/{hers.pk}/test").json())  # no answer to a SYN
        for waiting in queue:
            waiting.close()

    assert (
        told
        == [{"ok": False, "code": "upstream_error", "detail": "The server cannot be reached."}] * 4
    )


@pytest.mark.row("O1", "O2")
def test_an_address_that_became_private_is_not_reached(api, mina, hers, upstream, settings):
    """O2: judged at every connect, not at save alone."""
    settings.ALLOW_PRIVATE_UPSTREAMS = False

    told = api(mina).post(f"connections/{hers.pk}/test").json()

    assert told["detail"] == "The server cannot be reached."
    assert upstream.requests == []


def test_staff_are_told_more(api, root, system_connection, upstream):
    upstream.list_reply = refusal(503, {"message": f"echo {KEY}"})

    told = api(root).post(f"connections/{system_connection.pk}/test").json()

    assert "503" in told["detail"]
    assert KEY not in str(told)


def test_staff_are_told_of_silence(api, root, system_connection, upstream, monkeypatch):
    monkeypatch.setattr(connection_tests, "TEST_SECONDS", 0.3)
    upstream.list_reply = Reply((HANG,), raw=True)

    told = api(root).post(f"connections/{system_connection.pk}/test").json()

    assert told["detail"] == "The model's provider took too long."


@pytest.mark.row("O8")
def test_ten_a_minute_over_all_ones_connections(api, mina, hers, settings, upstream):
    settings.RATES = settings.RATES | {"connection_test": [(2, 60)]}
    other = create_connection(
        mina,
        scope="personal",
        provider="openai_compatible",
        name="Other",
        base_url=upstream.url,
    )

    answers = [api(mina).post(f"connections/{each.pk}/test") for each in (hers, other, hers)]

    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert problem(answers[2]) == (429, "rate_limited")
    assert int(answers[2]["Retry-After"]) <= 60


@pytest.mark.row("O8")
def test_the_deployments_own_number_is_ten(api, mina, hers, upstream):
    answers = [api(mina).post(f"connections/{hers.pk}/test").status_code for _ in range(11)]

    assert answers == [200] * 10 + [429]


@pytest.mark.row("K7")
def test_a_key_that_cannot_be_decrypted(api, mina, hers, settings):
    settings.ENCRYPTION_KEYS = ["another secret of thirty-two characters"]

    told = api(mina).post(f"connections/{hers.pk}/test").json()

    assert (told["ok"], told["code"]) == (False, "model_unavailable")


def test_anothers_cannot_be_tested(api, boris, hers, upstream):
    assert problem(api(boris).post(f"connections/{hers.pk}/test")) == (404, "not_found")
    assert upstream.requests == []


def test_the_built_in_one_works(api, root, built_in):
    assert api(root).post(f"connections/{built_in.pk}/test").json()["models"] == ["offline"]
