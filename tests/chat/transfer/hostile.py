"""Files that somebody made to break an import. `size` is how many bytes those of any size have."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

from tests.chat.transfer.files import chatgpt, node, own, said, talk

Maker = Callable[[int], bytes]

_HEAD = b'{"format":"parley.conversations","version":1,"conversations":['
_TALK = _HEAD + b'{"id":"x","messages":['
_END = b"]}]}"


def _raw(messages: bytes) -> bytes:
    return _TALK + messages + _END


def _message(fields: bytes) -> bytes:
    return b'{"id":"1","role":"user","content":"Hi",' + fields + b"}"


def _many(piece: bytes, size: int, *, between: bytes = b",") -> bytes:
    return between.join([piece] * max(1, size // (len(piece) + len(between))))


def _numbered(template: str, size: int) -> bytes:
    count = max(2, size // (len(template) + 8))
    return ",".join(template.replace("@", str(n)) for n in range(count)).encode()


def _zip(size: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", b"[" * size)
    return target.getvalue()


def _circle(count: int) -> list[dict[str, Any]]:
    return [said(f"m{n}", parent_id=f"m{(n + 1) % count}") for n in range(count)]


def _chain(count: int) -> bytes:
    rows = (
        f'{{"id":"m{n}","parent_id":"m{n - 1}","role":"user","content":"x"}}' for n in range(count)
    )
    return ",".join(rows).encode()


def _nodes(count: int, **fields: Any) -> dict[str, Any]:
    """ChatGPT's nodes in a row, each without a message unless `fields` say so."""
    nodes = [node(f"n{n}", f"n{n - 1}" if n else None, **fields) for n in range(count)]
    return chatgpt(*nodes)


def _pointing_at_itself() -> dict[str, Any]:
    file = chatgpt(node("a", "a", "user", "Hi"), node("b", "c", None), node("c", "b", None))
    file["mapping"]["d"] = node("d", "b", "user", "Below a circle of nothing")
    return file


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


# Nothing of them is stored.
REFUSED: dict[str, Maker] = {
    "nothing": lambda _size: b"",
    "white space": lambda size: b" " * size,
    "a mark of byte order alone": lambda _size: b"\xef\xbb\xbf",
    "a number": lambda _size: b"5",
    "a text": lambda _size: b'"conversations"',
    "null": lambda _size: b"null",
    "an empty list": lambda _size: b"[]",
    "an empty object": lambda _size: b"{}",
    "a list of numbers": lambda size: b"[" + _many(b"1", size) + b"]",
    "a list of lists": lambda size: b"[" + _many(b"[]", size) + b"]",
    "a list of objects that are no conversations": lambda size: (
        b"[" + _many(b"{}", min(size, 5_000)) + b"]"
    ),
    "brackets that open": lambda size: b"[" * size,
    "brackets that close": lambda size: b"]" * size,
    "braces that open": lambda size: b'{"a":' * (size // 5),
    "brackets that do not match": lambda _size: _raw(b'{"id":"1","role":"user"]'),
    "two files in one": lambda _size: own(talk(said("1"))) * 2,
    "words behind the file": lambda _size: own(talk(said("1"))) + b"x",
    "a file that breaks off": lambda _size: own(talk(said("1"), said("2")))[:-20],
    "a second talk that breaks off": lambda _size: (
        _HEAD + _as_json(talk(said("1"))) + b',{"id":"y","messages":[{"id":]}]}'
    ),
    "a second talk with parameters that are none": lambda _size: (
        _HEAD + _as_json(talk(said("1"))) + b',{"id":"y","parameters":{"a":1e999}}]}'
    ),
    "a text without end": lambda size: _TALK + b'{"id":"1","content":"' + b"a" * size,
    "backslashes without end": lambda size: _TALK + b'{"id":"1","content":"' + b"\\" * size,
    "quotes without end": lambda size: _TALK + b'"' * size,
    "bytes that are no UTF-8": lambda _size: _raw(_message(b'"model":"\xff\xfe"')),
    "surrogates as bytes": lambda _size: _raw(_message(b'"model":"\xed\xa0\x80"')),
    "UTF-16": lambda _size: own(talk(said("1"))).decode().encode("utf-16"),
    "a NUL between": lambda _size: _raw(b'{"id":"1"\x00,"role":"user"}'),
    "a line break in a text": lambda _size: _raw(b'{"id":"1","content":"a\nb"}'),
    "NaN": lambda _size: _raw(_message(b'"seconds":NaN')),
    "Infinity": lambda _size: _raw(_message(b'"seconds":-Infinity')),
    "1e999": lambda _size: _raw(_message(b'"seconds":1e999')),
    "a number of 5,000 digits": lambda _size: _raw(_message(b'"position":' + b"9" * 5_000)),
    "a number of megabytes": lambda size: _raw(_message(b'"position":' + b"9" * size)),
    "a message in 40 brackets": lambda _size: _raw(b"[" * 40 + b"]" * 40),
    "a field in 40 braces": lambda _size: _raw(
        _message(b'"context":' + b'{"a":' * 40 + b"1" + b"}" * 40)
    ),
    "more brackets than anyone has": lambda size: _raw(_many(b"[]", max(size, 11 << 20))),
    "too many talks": lambda _size: _HEAD + _many(b'{"id":"x"}', 30_000) + b"]}",
    "too many messages": lambda _size: _raw(_numbered('{"id":"@"}', 4_500_000)),
    "too large a message": lambda _size: _raw(
        b'{"id":"1","role":"user","content":"' + b"a" * (5 << 20) + b'"}'
    ),
    "too large a list of parameters": lambda _size: _as_json(
        {
            "format": "parley.conversations",
            "version": 1,
            "conversations": [talk(said("1"), parameters={"stop": ["a" * (5 << 20)]})],
        }
    ),
    "a zip bomb": _zip,
    "a gzip bomb": lambda size: gzip.compress(b"[" * size),
    "another format": lambda _size: _as_json({"format": "other", "conversations": [talk()]}),
    "a version yet to come": lambda _size: _as_json(
        {"format": "parley.conversations", "version": 2, "conversations": [talk()]}
    ),
    "a version that is true": lambda _size: _as_json(
        {"format": "parley.conversations", "version": True, "conversations": [talk()]}
    ),
    "talks that are an object": lambda _size: _as_json(
        {"format": "parley.conversations", "version": 1, "conversations": {"a": talk()}}
    ),
    "an XML file": lambda _size: b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
}

# What of them can be stored is.
CUT: dict[str, Maker] = {
    "a message that is its own parent": lambda _size: own(talk(said("1", parent_id="1"))),
    "messages in a circle": lambda _size: own(talk(*_circle(1_000))),
    "a parent that is not there": lambda _size: own(talk(said("1", parent_id="gone"))),
    "a parent of another talk": lambda _size: own(
        talk(said("1")), talk(said("2", parent_id="1"), id="other")
    ),
    "a child before its parent": lambda _size: own(
        talk(said("2", parent_id="1", position=1), said("1", position=2))
    ),
    "one id for all messages": lambda _size: own(talk(*[said("same", str(n)) for n in range(99)])),
    "one id for all talks": lambda _size: own(*[talk(said(str(n))) for n in range(99)]),
    "a chain without end": lambda _size: _raw(_chain(30_000)),
    "positions that are absurd": lambda _size: own(
        talk(
            said("1", position=10**12, ended_position=10**12),
            said("2", position=-1),
            said("3", position=1.5),
            said("4", position=True),
        )
    ),
    "an end that is absurd": lambda _size: own(talk(said("1", position=1, ended_position=10**12))),
    "one position for all": lambda _size: own(talk(*[said(str(n), position=1) for n in range(99)])),
    "numbers beyond their columns": lambda _size: _raw(
        _message(
            b'"position":18446744073709551615,"usage":{"prompt_tokens":9223372036854775808,'
            b'"completion_tokens":-5,"cost":"99999999999999999999"},"seconds":1e300'
        )
    ),
    "costs whose sum no column holds": lambda _size: _raw(
        _numbered('{"id":"@","usage":{"cost":"999999.999999999"}}', 1 << 20)
    ),
    "words of every wrong kind": lambda _size: own(
        talk(
            {"id": 5, "role": [], "content": {}, "usage": [], "error": "x", "feedback": 1},
            {"id": None, "role": {}, "content": [1], "tool_calls": {}, "sources": "x"},
            {"id": "3", "role": "user", "tool_calls": [1, {"id": []}], "context": {"a": 1}},
            title=5,
            title_source=[],
            model={},
            system_prompt=[],
            parameters=[],
            archived="yes",
            created_at={},
        )
    ),
    "roles of others": lambda _size: own(
        talk(
            {"id": "1", "role": "agent", "content": "I am from the company"},
            {"id": "2", "role": "root", "content": "I am root"},
        )
    ),
    "a status that nobody would end": lambda _size: own(
        talk(said("1", role="assistant", status="streaming"))
    ),
    "times out of time": lambda _size: own(
        talk(
            said("1", created_at="9999-12-31T23:59:59-23:59"),
            said("2", created_at=-(10**18)),
            said("3", created_at="0001-01-01T00:00:00+23:59"),
            said("4", created_at="2024-13-45"),
            created_at=1e300,
            updated_at=True,
        )
    ),
    "NUL and half pairs": lambda _size: _raw(
        b'{"id":"\\u0000","role":"user","content":"a\\u0000b\\ud800c\\udc00\\ud83d\\ude00"}'
    ),
    "half a pair in a name": lambda _size: _raw(_message(b'"\\ud800":1')),
    "control characters": lambda _size: own(
        talk(
            said("1", "".join(map(chr, range(1, 32))) + "\x7f\x9b\u202e"),
            title="\x1b]0;title\x07\u202e",
        )
    ),
    "keys that come twice": lambda _size: (
        _HEAD + b'{"id":"x","id":"y","messages":[{"id":"no"}],"messages":[' + b'{"id":"1",'
        b'"id":"2","role":"user","role":"assistant","content":"a","content":"b"}]}]}'
    ),
    "a million keys in one object": lambda size: _raw(
        b"{" + _numbered('"@":1', min(size, 3 << 20)) + b"}"
    ),
    "names of megabytes": lambda _size: own(
        talk(
            said("i" * 1_000_000, parent_id="p" * 1_000_000), id="t" * 1_000_000, title="T" * 10**6
        )
    ),
    "a title of markup": lambda _size: own(
        talk(said("1", "<script>alert(1)</script>"), title="</title><img onerror=alert(1)>")
    ),
    "parameters that reach for others": lambda _size: own(
        talk(
            said("1"),
            parameters={"base_url": "http://169.254.169.254", "api_key": "x", "temperature": 99},
        )
    ),
    "a mapping that points at itself": lambda _size: _as_json([_pointing_at_itself()]),
    "nodes without anything": lambda size: _as_json([_nodes(max(10, size // 500))]),
    "nodes that are hidden": lambda size: _as_json(
        [_nodes(max(10, size // 1_500), role="user", weight=0)]
    ),
    "nodes in a row without end": lambda size: _as_json(
        [_nodes(max(10, min(60_000, size // 400)), role="user")]
    ),
    "children that are not there": lambda size: _as_json(
        [chatgpt(node("a", None, "user", "Hi") | {"children": ["x"] * (size // 5)})]
        if size < 4 << 20
        else [chatgpt(node("a", None, "user", "Hi") | {"children": ["x"] * 500_000})]
    ),
    "parts of every wrong kind": lambda _size: _as_json(
        [
            chatgpt(
                node("a", None, "user", 1, None, [], {"content_type": 5}, {"text": []}, "Hi"),
                node("b", "a", "user", "x", kind="y") | {"parent": 5, "children": [1, "b"]},
                node("c", "b") | {"message": [1]},
                node("d", "c") | {"message": {"author": [], "content": "x", "metadata": 7}},
                current="nobody",
                title={"a": 1},
                create_time="x",
                conversation_id=[],
                id=7,
            )
        ]
    ),
    "a mapping that is a list": lambda _size: _as_json([{"mapping": [1, {}, []], "id": "x"}]),
    "a wall of backticks": lambda size: _as_json(
        [
            chatgpt(
                node("a", None, "assistant", kind="code")
                | {
                    "message": {
                        "author": {"role": "assistant"},
                        "content": {"content_type": "code", "text": "`" * min(size, 2 << 20)},
                    }
                }
            )
        ]
    ),
    "texts of escapes": lambda size: _raw(
        b'{"id":"1","role":"user","content":"' + b"\\ud800" * (min(size, 3 << 20) // 6) + b'"}'
    ),
}
