"""Every way a provider can go wrong, of each protocol, all at once on real processes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from typing import Any

import pytest

from config.limits import PROVIDER_COOLDOWN_SECONDS
from models_registry.errors import ProviderCut
from models_registry.providers.base import Finished
from tests.e2e.person import Person, register
from tests.faults.conftest import one_server
from tests.faults.crooked import (
    VENDORS,
    Crooked,
    Make,
    ask_all,
    more,
    named,
    new_readers,
    one_of_each,
    thought,
)
from tests.faults.deployment import deployed
from tests.faults.measuring import MEBIBYTE, Bystander
from tests.faults.records import agree, audit
from tests.models_registry import test_malformed_native_wires, test_malformed_wires
from tests.models_registry.upstream import CUT, HANG, RESET, Reply
from tests.server import Server
from tests.waiting import until

VENDOR_OF = {"openai": "openai_compatible", "anthropic": "anthropic", "dashscope": "dashscope"}
JSON = "application/json"
WAITS = {
    "PROVIDER_CONNECT_SECONDS": "2",
    "PROVIDER_FIRST_TOKEN_SECONDS": "4",
    "PROVIDER_SILENCE_SECONDS": "4",
    "ALLOW_PRIVATE_UPSTREAMS": "true",
}
SOME = "Some text of some length, so that there is something to count. "


def malformed(provider: Crooked):
    """(name, reply, text, how it ends) of each wire of this protocol."""
    if provider.vendor == "openai":
        for name, (reply, text, end) in test_malformed_wires.WIRES.items():
            yield name, reply, text, end
        return
    for name, (steps, text, end) in test_malformed_native_wires.BOTH.items():
        yield name, Reply(steps(provider.wire)), text, end


def always(reply: Reply) -> Make:
    return lambda _wire: reply


def status_of(told: object, end: object) -> tuple[str, str]:
    """F12: the status and the code of a turn that ended so, and had `told` something before."""
    if end is None or isinstance(end, Finished):
        return "complete", ""
    broke_off = told and end is ProviderCut
    return ("interrupted" if broke_off else "failed"), "upstream_error"


def drops(drop: bytes):
    """One every 0.3 s, for ever."""
    return chain.from_iterable((0.3, drop) for _drop in repeat(None))


def as_list(body: Any) -> Reply:
    return Reply((json.dumps(body).encode(),), content_type=JSON)


# What it sends; the text, status and code that come of it; how often it is asked. Each is called
# with the wire of a protocol.
FAULTS = {
    "mute": (lambda w: Reply((HANG,), raw=True), "", "failed", "upstream_timeout", 2),
    "silent": (lambda w: Reply((HANG,)), "", "failed", "upstream_timeout", 2),
    "silent-amid": (
        lambda w: Reply((w.hanging(SOME), HANG)),
        SOME,
        "interrupted",
        "upstream_timeout",
        1,
    ),
    "drip-of-headers": (
        lambda w: Reply(chain([b"HTTP/1.1 200 OK\r\nx-drip: "], drops(b"x")), raw=True),
        "",
        "failed",
        "upstream_timeout",
        2,
    ),
    "drip-of-comments": (
        lambda w: Reply(chain([w.hanging(SOME)], drops(b": still here\n\n"))),
        SOME,
        "interrupted",
        "upstream_timeout",
        1,
    ),
    "drip-of-bytes": (
        lambda w: Reply(chain([w.hanging(SOME)], drops(b"d"))),
        SOME,
        "interrupted",
        "upstream_timeout",
        1,
    ),
    "reset": (lambda w: Reply((RESET,), raw=True), "", "failed", "upstream_error", 2),
    "reset-amid": (
        lambda w: Reply((w.hanging(SOME), RESET)),
        SOME,
        "interrupted",
        "upstream_error",
        1,
    ),
    "cut-amid": (
        lambda w: Reply((w.hanging(SOME), CUT)),
        SOME,
        "interrupted",
        "upstream_error",
        1,
    ),
    "giant-line": (
        lambda w: Reply(chain([w.hanging(SOME), b"data: "], repeat(b"x" * 65_536, 16_384))),
        SOME,
        "failed",
        "upstream_error",
        1,
    ),
    "endless": (
        lambda w: Reply(chain([w.hanging(SOME)], repeat(more(w, "word " * 2_000)))),
        SOME,
        "failed",
        "upstream_error",
        1,
    ),
    "endless-thoughts": (
        lambda w: Reply(chain([w.hanging(SOME)], repeat(thought(w, "hm " * 3_000)))),
        SOME,
        "failed",
        "upstream_error",
        1,
    ),
    "endless-refusal": (
        lambda w: Reply(repeat(b"x" * 65_536), status=400, content_type="application/json"),
        "",
        "failed",
        "upstream_error",
        1,
    ),
    "packed": (
        lambda w: Reply(
            chain([b"\x1f\x8b"], repeat(b"\0" * 65_536)), headers={"content-encoding": "gzip"}
        ),
        "",
        "failed",
        "upstream_error",
        1,
    ),
    "liar-below": (lambda w: w.answer(SOME, prompt=-5, completion=-5), SOME, "complete", "", 1),
    "liar-above": (
        lambda w: w.answer(SOME, prompt=10**12, completion=10**12),
        SOME,
        "complete",
        "",
        1,
    ),
}
LEAVES_US = {"reset", "reset-amid", "cut-amid", "liar-below", "liar-above"}


LISTS = {
    "page": lambda w: Reply((b"<!doctype html><p>Models",), content_type="text/html"),
    "crowd": lambda w: as_list(w.model_list([f"m-{number:06}" for number in range(100_000)])),
    "giant": lambda w: Reply(chain([b"{"], repeat(b" " * 65_536)), content_type=JSON),
    "giant-name": lambda w: as_list(w.model_list(["x" * 3_000_000, "\0", "\ud83d", "", " "])),
    "number": lambda w: as_list({"data": 7, "output": 7}),
    "numbers": lambda w: as_list({"data": [7, None], "output": {"models": [7, None]}}),
    "wrong-names": lambda w: as_list(w.model_list([7, None, {"id": "x"}])),
    "list": lambda w: as_list([1, 2]),
    "nothing": lambda w: as_list(None),
    "depth": lambda w: Reply((b"[" * 1_000_000,), content_type=JSON),
    "half": lambda w: Reply((b'{"data": [', CUT), content_type=JSON),
    "reset": lambda w: Reply((RESET,), raw=True),
    "mute": lambda w: Reply((HANG,), raw=True),
    "drip": lambda w: Reply(chain([b"{"], drops(b" ")), content_type=JSON),
    "packed": lambda w: Reply(
        chain([b"\x1f\x8b"], repeat(b"\0" * 65_536)), headers={"content-encoding": "gzip"}
    ),
    "refusal": lambda w: Reply(repeat(b"x" * 65_536), status=500, content_type=JSON),
}
# What may give models all the same: as many and as long ones as fit.
MAY_LIST = {"crowd", "giant-name", "wrong-names"}


@pytest.fixture(scope="module")
def providers() -> Iterator[dict[str, Crooked]]:
    with one_of_each() as started:
        for provider in started.values():
            for name, reply, _text, _end in malformed(provider):
                provider.offer(f"wire {name}", always(reply))
            for name, (make, *_expected) in FAULTS.items():
                provider.offer(name, make)
            provider.offer("tired", lambda wire: wire.refusal(500))
            provider.lists = LISTS
        yield started


@pytest.fixture(scope="module", params=["embedded", "deployed"])
def servers(request, tmp_path_factory, upstream, providers) -> Iterator[Sequence[Server]]:
    environ = WAITS | named(providers)
    folder = tmp_path_factory.mktemp("crooked")
    if request.param == "embedded":
        with one_server(folder, upstream, **environ) as server:
            yield (server,)
        return
    stores = [request.getfixturevalue(name) for name in ("own_postgresql", "own_redis")]
    with deployed(folder, upstream, tuple(stores), **environ) as deployment:
        yield deployment.servers


@pytest.fixture
def person(servers: Sequence[Server]) -> Person:
    return register(servers[0])


@pytest.fixture(autouse=True)
def _asked_anew(providers: dict[str, Crooked]) -> None:
    for provider in providers.values():
        provider.requests.clear()


def no_traceback(servers: Sequence[Server]) -> bool:
    return not any("Traceback" in server.log for server in servers)


def error_of(message: dict[str, Any]) -> str:
    return str((message["error"] or {"code": ""})["code"])


@pytest.mark.row("F12")
async def test_malformed_wires_of_each_protocol_all_at_once(person, servers, providers):
    """F12: 25 wires of each at least."""
    expected = {}
    for provider in providers.values():
        for name, _reply, text, end in malformed(provider):
            told = text or name.endswith("tool call")
            expected[f"{provider.vendor}-wire {name}"] = (text, *status_of(told, end))
    assert all(sum(name.startswith(vendor) for name in expected) >= 25 for vendor in VENDORS)

    with Bystander(servers[0]) as bystander:
        readers = await ask_all(person, servers, list(expected))

    stored = await agree(servers[0], readers)
    found = [(each["content"], each["status"], error_of(each)) for each in stored]
    assert dict(zip(expected, found, strict=True)) == expected
    assert bystander.longest < 2
    assert no_traceback(servers)


@pytest.mark.row("F9", "F10", "F13", "F14")
async def test_faults_of_each_protocol_all_at_once(person, servers, providers):
    """F9, F10, F13, F14: the waits are 4 s, the memory 10 MB; here, 100 s and 100 MB for all."""
    models = [f"{vendor}-{name}" for vendor in VENDORS for name in FAULTS]
    await ask_all(person, servers, [f"{vendor}-wire a bare end after text" for vendor in VENDORS])
    began = time.monotonic()

    with Bystander(servers[0]) as bystander:
        before = bystander.memory
        readers = await ask_all(person, servers, models)
        took = time.monotonic() - began

    stored = await agree(servers[0], readers)
    for model, message in zip(models, stored, strict=True):
        vendor, _dash, name = model.partition("-")
        _make, text, *expected = FAULTS[name]
        asked = providers[vendor].asked(model)
        assert [message["status"], error_of(message), len(asked)] == expected, model
        assert message["content"].startswith(text), model
        assert name in LEAVES_US or all([await request.was_left() for request in asked]), model
        if text:
            assert message["usage"]["estimated"], model
            assert 5 < message["usage"]["completion_tokens"] < 1 << 20, model
    assert took < 100
    assert bystander.longest < 2
    assert bystander.memory - before < 100 * MEBIBYTE
    assert no_traceback(servers)


def discover(person: Person, provider: Crooked, name: str) -> tuple[Any, float]:
    """What a person is told who connects to this list, and the seconds until then."""
    connection = {"scope": "personal", "provider": VENDOR_OF[provider.vendor], "api_key": "sk-none"}
    where = {"name": name, "base_url": f"{provider.address}/{name}"}
    made = person.call("POST", "connections", connection | where)
    assert made.status == 201, made.body
    began = time.monotonic()
    told = person.call("POST", f"connections/{made.json()['id']}/discover")
    return told, time.monotonic() - began


async def test_wrong_lists_of_models_of_each_protocol_all_at_once(person, servers, providers):
    """Each has 10 s; here, 100 for all. What can be no name makes no model."""
    wanted = [(provider, name) for provider in providers.values() for name in LISTS]
    await asyncio.to_thread(discover, person, providers["openai"], "crowd")

    with Bystander(servers[0]) as bystander, ThreadPoolExecutor(len(wanted)) as threads:
        before = bystander.memory
        asking = [asyncio.wrap_future(threads.submit(discover, person, *each)) for each in wanted]
        answers = await asyncio.gather(*asking)

    for (provider, name), (told, took) in zip(wanted, answers, strict=True):
        case = f"{provider.vendor} {name}"
        assert told.status == 200, (case, told.body)
        outcome = told.json()
        assert took < 100, case
        if outcome["ok"]:
            assert name in MAY_LIST, (case, outcome)
            assert len(outcome["models"]) <= 2_000, case
            assert all(0 < len(each) <= 200 for each in outcome["models"]), case
        else:
            assert (outcome["code"], outcome["added"]) == ("upstream_error", []), case
    assert bystander.longest < 2
    # Of each of the 48 up to 4 MiB is read, and then its JSON.
    assert bystander.memory - before < 300 * MEBIBYTE
    assert no_traceback(servers)
    await asyncio.to_thread(audit, servers[0])


def once_told(told: threading.Event, wire: Any) -> Reply:
    """A good answer that begins when the test says so."""
    waiting = (0.1 for _pause in iter(told.is_set, True))
    return Reply(chain(waiting, wire.answer("Back.").steps))


@pytest.mark.row("F16")
async def test_of_fifty_turns_that_wait_for_a_tired_model_one_asks_first(
    person, servers, providers
):
    """F16: after its rest of 30 s; each process finds out for itself."""
    provider, name, answer = providers["openai"], "openai-tired", threading.Event()
    provider.offer("tired", lambda wire: wire.refusal(500))
    tired = await ask_all(person, servers, [name] * 2 * len(servers))
    rested = time.monotonic() + PROVIDER_COOLDOWN_SECONDS
    provider.requests.clear()
    provider.offer("tired", lambda wire: once_told(answer, wire))
    waiting = await new_readers(person, servers, [name] * 50)
    await asyncio.sleep(max(0.0, rested - time.monotonic()))

    asking = [asyncio.create_task(reader.ask()) for reader in waiting]
    others = len(waiting) - len(servers)
    await asyncio.to_thread(
        until, lambda: sum(each.end is not None for each in waiting) == others, "one asks"
    )
    answer.set()
    await asyncio.gather(*asking)

    assert len(provider.asked(name)) == len(servers)
    stored = await agree(servers[0], [*tired, *waiting])
    ends = Counter((message["content"], error_of(message)) for message in stored[len(tired) :])
    assert ends == {("", "model_unavailable"): others, ("Back.", ""): len(servers)}
    assert [each.text for each in await ask_all(person, servers, [name] * 4)] == ["Back."] * 4
