"""The model that is always there: no key, no network. It answers from Parley's documentation."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from models_registry.providers.base import (
    ChatRequest,
    Finished,
    Provider,
    ProviderEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from models_registry.providers.documentation import QUESTION_CHARACTERS, Section, documentation
from models_registry.providers.offline_texts import Texts, texts_in
from models_registry.tokens import O200K, count, count_messages

_TITLE = "title"
_TITLE_WORDS = 10
_SUMMARY = "summary"
_SUMMARY_LINES = 30
_LINE_CHARACTERS = 100
SEARCH_TOOL = "search_articles"
QUOTE_CHARACTERS = 1_200

# A word with the space after it, a CJK character, or a run of space.
_PIECES = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+\s*|\s+"
)


class OfflineProvider(Provider):
    """Searches, quotes, and says so. Like any model it calls a tool that is offered for that."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ProviderEvent, None]:
        # Reading pages and counting tokens would hold the event loop up.
        text, prompt_tokens = await asyncio.to_thread(_answer, request)
        if text is None:
            query = json.dumps({"query": _asked(request.messages)}, ensure_ascii=False)
            yield ToolCallDelta(0, id="call_search", name=SEARCH_TOOL, arguments=query)
            usage = Usage(prompt_tokens, max(1, count(query, O200K)))
            yield Finished("tool_calls", usage)
            return
        pieces = _PIECES.findall(_before(text, request.stop or ()))
        said = pieces[: request.max_tokens]
        for piece in said:
            yield TextDelta(piece)
            # A turn at the event loop for everybody else.
            await asyncio.sleep(0)
        reason = "stop" if len(said) == len(pieces) else "length"
        yield Finished(reason, Usage(prompt_tokens, max(1, count("".join(said), O200K))))

    async def list_models(self) -> list[str]:
        return ["offline"]


def _before(text: str, stops: Iterable[str]) -> str:
    """What comes before the first of these texts."""
    return min((text.partition(each)[0] for each in stops), key=len, default=text)


def _answer(request: ChatRequest) -> tuple[str | None, int]:
    """What to say (None: the tool is to be asked first), and what the prompt counts."""
    texts = texts_in(request.language)
    if request.purpose == _TITLE:
        return _first_words(request.messages), count_messages(request.messages, O200K)
    if request.purpose == _SUMMARY:
        return _beginnings(request.messages), count_messages(request.messages, O200K)
    prompt_tokens = count_messages(request.messages, O200K)
    if (results := _tool_results(request.messages)) is not None:
        return _from_articles(results, texts), prompt_tokens
    if _offers_search(request.tools):
        return None, prompt_tokens
    return _from_documentation(request.messages, texts), prompt_tokens


def _first_words(messages: list[dict[str, Any]]) -> str:
    """A title: what the person said first, of the JSON that tells what was said."""
    text = next((text for role, text in _said(messages) if role == "user"), "")
    return "".join(_PIECES.findall(" ".join(text.split()))[:_TITLE_WORDS]).strip()


def _beginnings(messages: list[dict[str, Any]]) -> str:
    """A summary: how each thing began that the person said, the newest of them."""
    lines: list[str] = []
    for role, text in _said(messages):
        if role == "summary":
            lines += text.splitlines()
        elif role == "user":
            lines.append("- " + " ".join(text.split())[:_LINE_CHARACTERS])
    return "\n".join(lines[-_SUMMARY_LINES:])


def _said(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(role, text) of what a job hands over as JSON."""
    try:
        said = json.loads(_text(messages[-1]))
        return [(str(each["role"]), str(each["text"])) for each in said]
    except (ValueError, LookupError, TypeError):
        return []


def _from_documentation(messages: list[dict[str, Any]], texts: Texts) -> str:
    index = documentation()
    found = index.search(_asked(messages)) or index.search(_asked(messages, last=2))
    first_time = not any(message.get("role") == "assistant" for message in messages)
    parts = [texts.who] if first_time or not found else []
    if found:
        best, *others = found
        parts += [texts.found.format(name=f"**{best.name}**"), _quote(best)]
        if others:
            parts.append(texts.also.format(names=", ".join(each.name for each in others)))
    elif not first_time:
        parts.append(texts.nothing)
    if first_time or not found:
        parts.append(texts.connect)
    return "\n\n".join(parts)


def _from_articles(results: str, texts: Texts) -> str:
    lines = [line for line in _article_lines(results) if line]
    if not lines:
        return texts.no_articles
    return "\n\n".join([texts.articles, *lines])[:QUOTE_CHARACTERS]


def _article_lines(results: str) -> list[str]:
    """A paragraph for each article of a tool's result, whatever shape that has."""
    try:
        value = json.loads(results)
    except ValueError:
        return [results.strip()]
    if isinstance(value, dict):
        value = next((each for each in value.values() if isinstance(each, list)), [value])
    articles = value if isinstance(value, list) else [value]
    return [_article_line(each) for each in articles]


def _article_line(article: Any) -> str:
    if not isinstance(article, dict):
        return str(article).strip()
    title = str(article.get("title") or "").strip()
    text = next(
        (
            str(article[name])
            for name in ("text", "content", "snippet", "body")
            if article.get(name)
        ),
        "",
    ).strip()
    return f"**{title}**: {text}" if title and text else title or text


def _quote(section: Section) -> str:
    """The beginning of a section, cut between paragraphs, never inside a code block."""
    kept: list[str] = []
    length = 0
    fenced = False
    for paragraph in section.text.split("\n\n"):
        if kept and not fenced and length + len(paragraph) > QUOTE_CHARACTERS:
            kept.append("…")
            break
        kept.append(paragraph)
        length += len(paragraph)
        fenced ^= paragraph.count("```") % 2 == 1
    return "\n\n".join(kept)


def _asked(messages: list[dict[str, Any]], *, last: int = 1) -> str:
    """The text of the newest messages of the person."""
    theirs = [_text(message) for message in messages if message.get("role") == "user"]
    return "\n".join(theirs[-last:])[:QUESTION_CHARACTERS]


def _tool_results(messages: list[dict[str, Any]]) -> str | None:
    """What the tools answered to the newest question, if they were asked."""
    results: list[str] = []
    for message in reversed(messages):
        if message.get("role") == "tool":
            results.append(_text(message))
        else:
            break
    return "\n".join(reversed(results)) if results else None


def _offers_search(tools: list[dict[str, Any]] | None) -> bool:
    functions = [tool.get("function") for tool in tools or ()]
    return any(isinstance(each, dict) and each.get("name") == SEARCH_TOOL for each in functions)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))
