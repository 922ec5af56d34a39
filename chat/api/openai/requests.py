"""What a client of OpenAI's asks for: an allow-list, each field in its range (O9).

Fields that nobody knows are ignored; those that OpenAI has and Parley does not are refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from chat.api.openai import fields
from chat.api.openai.messages import read_function_name, read_messages
from chat.models.conversations import MODEL_CHARACTERS
from chat.parameters import known_parameters
from common.errors import Invalid
from common.text import excerpt

_NOT_HERE = ("functions", "function_call", "audio")
_CHOICES = ("none", "auto", "required")
_FORMATS = ("text", "json_object", "json_schema")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_VERBOSITIES = ("low", "medium", "high")
_MOST_BIASES = 1_024
_MOST_ALTERNATIVES = 20


@dataclass(frozen=True, slots=True)
class Completion:
    """One request. `parameters` hold what the model is to be asked, less its messages."""

    model: str
    messages: list[dict[str, Any]]
    parameters: dict[str, Any]
    stream: bool
    include_usage: bool


def read_completion(sent: dict[str, Any]) -> Completion:
    """The request, in OpenAI's shape; raises Invalid that names the first wrong field."""
    for name in _NOT_HERE:
        if sent.get(name):
            raise fields.not_here(name, name)
    if sent.get("modalities") not in (None, ["text"]):
        raise fields.not_here("modalities", excerpt(sent["modalities"]))
    model = fields.text(sent.get("model"), "model", most=MODEL_CHARACTERS)
    if not model:
        raise Invalid.field("model", _("Name a model."))
    given = {name: value for name, value in sent.items() if value is not None}
    stream = fields.switch(given.get("stream", False), "stream")
    options = fields.mapping(given.get("stream_options", {}), "stream_options")
    usage = options.get("include_usage")
    return Completion(
        model=model,
        messages=read_messages(given.get("messages")),
        parameters=_parameters(given),
        stream=stream,
        include_usage=fields.switch(usage or False, "stream_options.include_usage"),
    )


def _parameters(given: dict[str, Any]) -> dict[str, Any]:
    limit = "max_completion_tokens"
    if limit in given:
        given = given | {"max_tokens": given[limit]}
    parameters, wrong = known_parameters(given)
    if wrong:
        name = next(iter(wrong))
        shown = limit if name == "max_tokens" and limit in given else name
        raise Invalid.field(shown, wrong[name][0])
    for name, read in _READERS.items():
        if name in given and (value := read(given[name], name)) is not None:
            parameters[name] = value
    _check_together(parameters)
    return parameters


def _check_together(parameters: dict[str, Any]) -> None:
    """What makes sense beside something else only."""
    if not parameters.get("logprobs", False):
        parameters.pop("logprobs", None)
        if "top_logprobs" in parameters:
            raise Invalid.field("top_logprobs", _("This needs logprobs: true."))
    if "tools" not in parameters:
        parameters.pop("parallel_tool_calls", None)
    if not parameters.get("stop", True):
        del parameters["stop"]
    choice = parameters.get("tool_choice")
    names = [each["function"]["name"] for each in parameters.get("tools", ())]
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        raise Invalid.field("tool_choice", _("This is none of the tools."))
    if choice == "required" and not names:
        raise Invalid.field("tool_choice", _("This needs tools."))


def _tools(value: Any, where: str) -> list[dict[str, Any]] | None:
    if value == []:
        return None
    found = fields.items(value, where, most=settings.V1_TOOLS)
    return [_tool(each, f"{where}[{number}]") for number, each in enumerate(found)]


def _tool(value: Any, where: str) -> dict[str, Any]:
    sent = fields.mapping(value, where)
    if sent.get("type") != "function":
        raise fields.not_here(f"{where}.type", excerpt(sent.get("type")))
    where = f"{where}.function"
    function = fields.mapping(sent.get("function"), where)
    made: dict[str, Any] = {"name": read_function_name(function, where)}
    if function.get("description") is not None:
        made["description"] = fields.text(function["description"], f"{where}.description")
    if function.get("parameters") is not None:
        made["parameters"] = fields.mapping(function["parameters"], f"{where}.parameters")
    if function.get("strict") is not None:
        made["strict"] = fields.switch(function["strict"], f"{where}.strict")
    return {"type": "function", "function": made}


def _tool_choice(value: Any, where: str) -> str | dict[str, Any]:
    if not isinstance(value, dict):
        return fields.word(value, where, _CHOICES)
    if value.get("type") != "function":
        raise fields.not_here(f"{where}.type", excerpt(value.get("type")))
    function = fields.mapping(value.get("function"), f"{where}.function")
    name = read_function_name(function, f"{where}.function")
    return {"type": "function", "function": {"name": name}}


def _response_format(value: Any, where: str) -> dict[str, Any] | None:
    sent = fields.mapping(value, where)
    kind = fields.word(sent.get("type"), f"{where}.type", _FORMATS)
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": kind}
    where = f"{where}.json_schema"
    given = fields.mapping(sent.get(kind), where)
    made: dict[str, Any] = {"name": read_function_name(given, where)}
    if given.get("description") is not None:
        made["description"] = fields.text(given["description"], f"{where}.description")
    if given.get("schema") is not None:
        made["schema"] = fields.mapping(given["schema"], f"{where}.schema")
    if given.get("strict") is not None:
        made["strict"] = fields.switch(given["strict"], f"{where}.strict")
    return {"type": kind, kind: made}


def _logit_bias(value: Any, where: str) -> dict[str, float] | None:
    found = fields.mapping(value, where)
    if len(found) > _MOST_BIASES:
        raise Invalid.field(where, _("Use at most %(count)d.") % {"count": _MOST_BIASES})
    if not all(name.isascii() and name.isdecimal() for name in found):
        raise Invalid.field(where, _("Name tokens by their numbers."))
    return {name: fields.number(bias, where, low=-100, high=100) for name, bias in found.items()}


_READERS: dict[str, Any] = {
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "logprobs": fields.switch,
    "top_logprobs": lambda value, where: fields.whole(value, where, low=0, high=_MOST_ALTERNATIVES),
    "logit_bias": _logit_bias,
    "parallel_tool_calls": fields.switch,
    "reasoning_effort": lambda value, where: fields.word(value, where, _EFFORTS),
    "verbosity": lambda value, where: fields.word(value, where, _VERBOSITIES),
    "user": lambda value, where: fields.text(value, where, most=settings.V1_USER_CHARACTERS),
}
