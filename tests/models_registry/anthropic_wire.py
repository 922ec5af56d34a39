"""Anthropic's messages on the wire (API version 2026-10-21), for the scripted server."""

import json

from tests.models_registry.upstream import Reply


def events(*objects, end=b"\n\n"):
    """Objects as named events of one write."""
    line = end[: len(end) // 2]
    return b"".join(
        b"event: " + each["type"].encode() + line + b"data: " + json.dumps(each).encode() + end
        for each in objects
    )


def start(prompt=7, **counts):
    usage = {"input_tokens": prompt, "output_tokens": 1} | counts
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    return {
        "type": "message_start",
        "message": message | {"model": "claude", "stop_reason": None, "usage": usage},
    }


def block(kind="text", index=0, **fields):
    content = {"type": kind} | ({"text": ""} if kind == "text" else {}) | fields
    return {"type": "content_block_start", "index": index, "content_block": content}


def block_stop(index=0):
    return {"type": "content_block_stop", "index": index}


def delta(text=None, index=0, **fields):
    """A piece of a block; `delta(thinking="…")`, `delta(partial_json="…")` are the other kinds."""
    if text is not None:
        fields = {"type": "text_delta", "text": text}
    elif "thinking" in fields:
        fields = {"type": "thinking_delta"} | fields
    elif "partial_json" in fields:
        fields = {"type": "input_json_delta"} | fields
    return {"type": "content_block_delta", "index": index, "delta": fields}


def end(reason="end_turn", completion=2, **counts):
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": completion} | counts,
    }


PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def error(kind="api_error", message="boom"):
    return {"type": "error", "error": {"type": kind, "message": message}}


def answer(*texts, prompt=7, completion=2):
    """A whole good answer, each text a write of its own."""
    return Reply(
        (
            events(start(prompt), block(), PING),
            *(events(delta(text)) for text in texts),
            events(block_stop(), end(completion=completion), STOP),
        )
    )


def tool_call(name, *fragments, call_id="toolu_1", index=0):
    """A call of a tool and the end, as one reply."""
    return Reply(
        (
            events(start(), block("tool_use", index, id=call_id, name=name, input={})),
            *(events(delta(partial_json=each, index=index)) for each in fragments),
            events(block_stop(index), end("tool_use"), STOP),
        )
    )


def hanging(text):
    """The beginnings of an answer whose end never comes; the test adds how."""
    return events(start(), block(), delta(text))


def last(**counts):
    """The finish and what follows it, in one write."""
    return events(block_stop(), end(**counts), STOP)


def failing(kind="api_error"):
    """An error inside a 200."""
    return events(error(kind))


def echo(key):
    return refusal(401, key, f"bad {key}", www_authenticate=key)


def refusal(status, kind="invalid_request_error", message="no", **headers):
    body = json.dumps(error(kind, message)).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((body,), status=status, content_type="application/json", headers=names)


def model_list(names):
    data = [{"type": "model", "id": name, "display_name": name} for name in names]
    return {"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]}
