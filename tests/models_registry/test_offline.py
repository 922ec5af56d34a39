"""The built-in model: honest, useful, without a network."""

import json
from uuid import uuid4

import pytest

from models_registry.providers.base import Endpoint, TextDelta, ToolCallDelta
from models_registry.providers.documentation import Index, Section, documentation, sections, words
from models_registry.providers.offline_texts import texts_in
from tests.models_registry.asking import ask, finished, text

HERE = Endpoint(uuid4(), provider="offline", base_url="", api_key="", allow_private=False)
ENGLISH, CHINESE = texts_in("en"), texts_in("zh-hans")
SEARCH = [{"type": "function", "function": {"name": "search_articles"}}]


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


class TestAnswers:
    async def test_a_first_word_says_what_it_is_and_how_to_connect_a_model(self):
        said = text(await ask(HERE, messages=[user("Hello")]))

        assert ENGLISH.who in said
        assert "OPENAI_API_KEY" in said
        assert "OPENAI_BASE_URL" in said

    async def test_it_answers_from_the_documentation_and_names_the_page(self):
        said = text(await ask(HERE, messages=[user("How do I make an administrator?")]))

        assert "create_admin" in said
        assert "docs/self-hosting.md" in said

    async def test_it_introduces_itself_once(self):
        talk = [user("Hello"), assistant("…"), user("How do I connect Ollama?")]

        said = text(await ask(HERE, messages=talk))

        assert ENGLISH.who not in said
        assert "11434" in said

    async def test_of_what_is_not_there_it_says_so(self):
        talk = [user("xyzzy"), assistant("…"), user("plugh")]

        said = text(await ask(HERE, messages=talk))

        assert ENGLISH.nothing in said

    async def test_a_short_question_is_read_with_the_one_before(self):
        talk = [user("Where is the backup?"), assistant("…"), user("hm")]

        assert ENGLISH.nothing not in text(await ask(HERE, messages=talk))

    async def test_in_chinese_it_speaks_chinese_and_still_finds(self):
        said = text(await ask(HERE, messages=[user("怎样备份数据库")], language="zh-hans"))

        assert CHINESE.who in said
        assert "docs/self-hosting.md" in said

    async def test_parts_and_empty_messages_are_read_too(self):
        parts = [{"type": "text", "text": "administrator"}, {"type": "image_url"}, "noise"]

        assert "create_admin" in text(await ask(HERE, messages=[user(parts)]))
        assert ENGLISH.who in text(await ask(HERE, messages=[user(None)]))
        assert ENGLISH.who in text(await ask(HERE, messages=[]))

    async def test_it_speaks_word_by_word_and_counts(self):
        events = await ask(HERE, messages=[user("Hello")])

        pieces = [event.text for event in events if isinstance(event, TextDelta)]
        assert len(pieces) > 50
        assert max(len(piece.split()) for piece in pieces) == 1
        usage = finished(events).usage
        assert (usage.prompt_tokens, usage.completion_tokens > 50) == (8, True)

    async def test_it_keeps_to_a_limit(self):
        events = await ask(HERE, messages=[user("Hello")], max_tokens=5)

        assert len(events) == 6
        assert finished(events).reason == "length"

    async def test_a_huge_question_is_answered(self):
        """R4"""
        assert text(await ask(HERE, messages=[user("administrator " * 10_000)]))


class TestTools:
    async def test_it_asks_the_articles_where_it_can(self):
        events = await ask(HERE, messages=[user("refund?")], tools=SEARCH)

        [call] = [event for event in events if isinstance(event, ToolCallDelta)]
        assert call.name == "search_articles"
        assert json.loads(call.arguments) == {"query": "refund?"}
        assert call.id
        assert finished(events).reason == "tool_calls"

    @pytest.mark.parametrize(
        "result",
        [
            json.dumps([{"title": "Refunds", "text": "Within 14 days."}]),
            json.dumps({"results": [{"title": "Refunds", "content": "Within 14 days."}]}),
            json.dumps({"title": "Refunds", "snippet": "Within 14 days."}),
            "Refunds: Within 14 days.",
            json.dumps("Refunds: Within 14 days."),
        ],
    )
    async def test_it_answers_from_what_they_say(self, result):
        talk = [user("refund?"), assistant(None), {"role": "tool", "content": result}]

        said = text(await ask(HERE, messages=talk, tools=SEARCH))

        assert said.startswith(ENGLISH.articles)
        assert "Within 14 days." in said

    @pytest.mark.parametrize("result", ["[]", '{"results": []}', "", "  "])
    async def test_or_says_that_there_is_none(self, result):
        talk = [user("refund?"), assistant(None), {"role": "tool", "content": result}]

        assert text(await ask(HERE, messages=talk, tools=SEARCH)) == ENGLISH.no_articles

    async def test_other_tools_are_left_alone(self):
        other = [{"type": "function", "function": {"name": "launch"}}, {"type": "odd"}]

        assert ENGLISH.who in text(await ask(HERE, messages=[user("Hello")], tools=other))


class TestSearch:
    PAGE = """# Title

Intro.

## Backups and `restore`

Copy it.

```bash
# not a heading
cp a b
```

### Deeper

Nothing [here](x).
"""

    @pytest.fixture
    def page(self, tmp_path):
        path = tmp_path / "docs" / "page.md"
        path.parent.mkdir()
        path.write_text(self.PAGE)
        return sections(path, tmp_path)

    def test_a_page_is_cut_at_its_headings(self, page):
        assert [section.titles for section in page] == [
            ("Title",),
            ("Title", "Backups and restore"),
            ("Title", "Backups and restore", "Deeper"),
        ]
        assert "# not a heading" in page[1].text
        assert page[1].name == "docs/page.md > Backups and restore"

    def test_the_best_section_comes_first(self, page):
        assert Index(page).search("How do I make backups?")[0] is page[1]

    def test_words_that_say_nothing_find_nothing(self, page):
        assert Index(page).search("How do I do it?") == []
        assert Index([]).search("backup") == []

    def test_plurals_and_forms_meet(self):
        assert words("Streams, streaming; stream") == ["stream"] * 3
        assert words("class Databases") == ["class", "database"]

    def test_chinese_is_read_by_character(self):
        index = Index([Section("a.md", ("客服",), "工单"), Section("b.md", ("x",), "y")])

        assert [section.path for section in index.search("工单在哪")] == ["a.md"]

    def test_without_documents_there_is_an_empty_index(self, settings, tmp_path):
        settings.BASE_DIR = tmp_path
        documentation.cache_clear()
        try:
            assert documentation().search("administrator") == []
        finally:
            documentation.cache_clear()


async def test_it_stops_before_the_first_of_the_texts_that_end_an_answer():
    whole = text(await ask(HERE))
    first, second = whole.split()[3:5]

    stopped = text(await ask(HERE, stop=["never said", second, first]))

    assert whole.startswith(stopped)
    assert 0 < len(stopped) < len(whole)
    assert first not in stopped
