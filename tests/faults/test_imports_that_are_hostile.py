"""Files as large as an import may be (A11, I1, R5)."""

from __future__ import annotations

import time

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model

from accounts.services.callers import Caller
from chat.services.importing import import_file
from common.errors import Invalid, PayloadTooLarge
from tests.chat.transfer.files import own, said, talk
from tests.chat.transfer.hostile import CUT, REFUSED
from tests.e2e.person import API, register
from tests.faults.conftest import one_server
from tests.faults.measuring import MEBIBYTE, Bystander

_FILES = REFUSED | CUT


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", _FILES)
def test_a_hostile_file_ends_within_five_seconds(name):
    """A11: of this thread's own processor time, so that a busy machine does not count."""
    person = get_user_model().objects.create(username="eve", username_key="eve", email="e@x.ex")
    raw = _FILES[name](settings.IMPORT_BODY_BYTES - 1_000)
    assert len(raw) <= settings.IMPORT_BODY_BYTES

    began = time.thread_time()
    try:
        import_file(Caller(person, None), raw)
    except (Invalid, PayloadTooLarge):
        assert name in REFUSED

    assert time.thread_time() - began < 5


@pytest.mark.row("R5")
def test_the_largest_file_keeps_nobody_waiting_and_gives_its_memory_back(
    tmp_path_factory, upstream
):
    """R5: 200 ms; here, 2 s. I1: it may hold its 50 MiB, and what it makes of them."""
    line = "A sentence of the usual length, or so. 一句话。"
    file = own(
        talk(*[said(f"m{n}", line, parent_id=f"m{n - 1}", position=n + 1) for n in range(10_000)]),
        talk(*[said(f"m{n}", line, position=n + 1) for n in range(190_000)], id="wide"),
    )
    assert 20 * MEBIBYTE < len(file) < settings.IMPORT_BODY_BYTES
    with one_server(tmp_path_factory.mktemp("import"), upstream) as server:
        person = register(server)
        person.call("POST", "conversations/import", own(talk(said("warm"), id="warm")))
        before = server.memory
        with Bystander(server) as bystander:
            answer = server.request(
                f"{API}conversations/import",
                method="POST",
                body=file,
                headers=person.headers,
                timeout=300,
            )

        assert answer.status == 201, answer.body
        assert answer.json()["messages"] == 200_000
        assert bystander.longest < 2
        assert bystander.memory - before < 1_000 * MEBIBYTE
