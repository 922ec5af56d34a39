"""DashScope's generation on the wire, for the scripted server."""

import json

from tests.models_registry.upstream import Reply


def events(*objects, end=b"\n\n", status=200):
    """Objects as events of one write, with the comment that DashScope puts in each."""
    line = end[: len(end) // 2]
    kind = b"result" if status == 200 else b"error"
    return b"".join(
        b"id:1"
        + line
        + b"event:"
        + kind
        + line
        + b":HTTP_STATUS/%d" % status
        + line
        # No space after the colon.
        + b"data:"
        + json.dumps(each).encode()
        + end
        for each in objects
    )


def delta(text="", reason="null", prompt=7, completion=1, **fields):
    message = {"role": "assistant", "content": text} | fields
    counts = {"input_tokens": prompt, "output_tokens": completion}
    return {
        "output": {"choices": [{"message": message, "finish_reason": reason}]},
        "usage": counts | {"total_tokens": prompt + completion},
        "request_id": "r-1",
    }


def finish(reason="stop", text="", prompt=7, completion=2, **fields):
    return delta(text, reason, prompt, completion, **fields)


def error(code="InternalError", message="boom"):
    return {"code": code, "message": message, "request_id": "r-1"}


def answer(*texts, prompt=7, completion=2):
    """A whole good answer, each text a write of its own."""
    steps = [events(delta(text, prompt=prompt)) for text in texts]
    return Reply((*steps, events(finish(prompt=prompt, completion=completion))))


def tool_call(name, *fragments, call_id="call_1"):
    """A call of a tool and the end, as one reply; later pieces come with an empty id and name."""
    head, *rest = fragments or ("",)
    calls = [_call(call_id, name, head), *(_call("", "", each) for each in rest)]
    steps = [events(delta(tool_calls=[call])) for call in calls]
    return Reply((*steps, events(finish("tool_calls"))))


def hanging(text):
    return events(delta(text))


def last(**counts):
    """The finish and what follows it, in one write."""
    return events(finish(**counts))


def failing(code="InternalError"):
    """An error inside a 200."""
    return events(error(code), status=500)


def echo(key):
    return refusal(401, key, f"bad {key}", www_authenticate=key)


def refusal(status, code="InvalidParameter", message="no", **headers):
    body = json.dumps(error(code, message)).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((body,), status=status, content_type="application/json", headers=names)


def model_list(names):
    models = [{"model": name, "provider": "qwen"} for name in names]
    page = {"page_no": 1, "page_size": 100, "total": len(names), "models": models}
    return {"request_id": "r-1", "output": page}


def _call(call_id, name, arguments):
    function = {"name": name, "arguments": arguments}
    return {"index": 0, "id": call_id, "type": "function", "function": function}
