"""Markdown for a terminal, rendered block by block, so that what is finished can scroll away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from markdown_it import MarkdownIt
from rich import markdown as rich_markdown
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token
    from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult

Line = list[Segment]

# HTML that a model writes is shown as it is, not swallowed.
_PARSER = (
    MarkdownIt().enable(["strikethrough", "table"]).disable(["html_block", "html_inline", "image"])
)
# The terminal's own colours, so that dark and light ones both stay readable.
_CODE_THEME = "ansi_dark"
THEME = Theme(
    {
        "markdown.h1": "bold underline",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "italic",
        "markdown.code": "cyan",
        "markdown.block_quote": "italic",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
        "markdown.link": "none",
        "markdown.link_url": "blue underline",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
        "markdown.hr": "dim",
    }
)


class _Heading(rich_markdown.Heading):
    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}  # none is centred


class _Code(rich_markdown.CodeBlock):
    """Between two thin rules, without padding, so that it can be copied."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name = "" if self.lexer_name == "text" else f" {self.lexer_name} "
        rule = _rule(options)
        yield Text(f"{rule * 2}{name}{rule * max(2, 30 - len(name))}", style="dim")
        code = Syntax("", self.lexer_name, theme=_CODE_THEME).highlight(str(self.text).rstrip())
        code.rstrip()
        code.overflow = "fold"
        yield code
        yield Text(rule * 32, style="dim")


class _Rule(rich_markdown.HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(_rule(options) * min(32, options.max_width), style="markdown.hr")


def _rule(options: ConsoleOptions) -> str:
    return "─" if options.encoding.startswith("utf") else "-"


class _Markdown(rich_markdown.Markdown):
    elements = {
        **rich_markdown.Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "hr": _Rule,
    }

    def __init__(self, tokens: list[Token]) -> None:
        # A link's address is shown: a text that leads elsewhere would deceive.
        super().__init__("", hyperlinks=False, code_theme=_CODE_THEME)
        self.parsed = tokens


class Block(NamedTuple):
    """A top-level block: from which line of the source it comes, and what it is."""

    line: int
    tokens: list[Token]
    source: str

    @property
    def is_table(self) -> bool:
        return self.tokens[0].type == "table_open"


class Lines:
    """Rendered lines as something that rich can print."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for line in self.lines:
            yield from line
            yield Segment.line()


def blocks_of(text: str, references: dict[str, Any]) -> list[Block]:
    """The blocks of `text`, in order. `references` takes the link definitions that stand in it."""
    source = text.split("\n")
    found: list[Block] = []
    for token in _PARSER.parse(text, references):
        if token.level == 0 and token.nesting >= 0:
            first, last = token.map or (0, 0)
            found.append(Block(first, [], "\n".join(source[first:last])))
        found[-1].tokens.append(token)
    return found


def lines_of(block: Block, console: Console) -> list[Line]:
    """`block` as lines of the console's width."""
    try:
        rendered = console.render_lines(_Markdown(block.tokens), pad=False)
    except Exception:  # noqa: BLE001 whatever a renderer stumbles over, the words are shown
        rendered = console.render_lines(Text(block.source), pad=False)
    while rendered and _is_blank(rendered[-1]):
        rendered.pop()
    while rendered and _is_blank(rendered[0]):
        rendered.pop(0)
    return rendered


def _is_blank(line: Line) -> bool:
    return not any(segment.text.strip() for segment in line)
