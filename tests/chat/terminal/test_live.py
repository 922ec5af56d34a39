"""An answer in a terminal: what stands there at the end is the whole answer, once."""

from __future__ import annotations

import io
import random
import re
import uuid

import pytest
from rich.console import Console

from chat.streams import events
from chat.terminal.live import LiveScreen
from chat.terminal.markdown import THEME, Lines, blocks_of, lines_of
from tests.e2e.conftest import once

pytestmark = once


WIDTH, HEIGHT = 60, 20
MESSAGE = uuid.uuid4()
ANSWER = """# A heading

Some *text* with **bold**, `code` and a [link](https://example.org/page) that goes on and on
until it has to be wrapped, and then some more.

1. one
2. two
   - nested

   a second paragraph
3. three

| Name | Count |
| --- | ---: |
| first | 1 |
| second | 22 |

> quoted
> twice

```python
def double(x):
    return 2 * x
```

<div>HTML is shown</div> and <br> too.

---

中文也可以显示、而且两倍宽、换行也要正确才行、所以这一段要足够长才好。

The end, by [reference][ref].

[ref]: https://example.org/reference
"""
LONG_CODE = "```\n" + "".join(f"line {number}\n" for number in range(70)) + "```\n\nAfter it.\n"
LONG_LIST = "".join(f"- item {number}\n" for number in range(70)) + "\nAfter it.\n"
LONG_TABLE = (
    "| a | b |\n| --- | --- |\n"
    + "".join(f"| {number} | {'x' * (number % 30)} |\n" for number in range(70))
    + "\nAfter it.\n"
)


class Glass(io.StringIO):
    """As much of a terminal as is needed: lines, a cursor that moves up, lines that are erased.

    A line above the window cannot be reached any more: to move there is a mistake.
    """

    encoding = "utf-8"

    def __init__(self):
        super().__init__()
        self.lines = [""]
        self.row = 0

    def write(self, text):
        for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
            if piece == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif piece == "\x1b[2K":
                self.lines[self.row] = ""
            elif re.fullmatch(r"\x1b\[\d*A", piece):
                self.row -= int(piece[2:-1] or 1)
                assert self.row >= len(self.lines) - HEIGHT, "moved above the window"
            elif piece != "\r" and not piece.startswith("\x1b"):
                self.lines[self.row] += piece
        return len(text)

    def flush(self):
        pass

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.lines).strip("\n")


def console(file):
    return Console(
        file=file,
        theme=THEME,
        width=WIDTH,
        height=HEIGHT,
        force_terminal=True,
        color_system=None,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )


def rendered(text):
    """The answer as it is when nothing streams: block after block, a blank line between."""
    glass = Glass()
    out = console(glass)
    for number, block in enumerate(blocks_of(text, {})):
        if number:
            out.print()
        out.print(Lines(lines_of(block, out)), end="")
    return glass.text


class Playing:
    """A screen that is drawn when the test says so."""

    def __init__(self):
        self.glass = Glass()
        self.screen = LiveScreen(console(self.glass))
        self.seq = 0

    def chunk(self, text, **more):
        self.seq += 1
        self.screen.show(events.chunk(MESSAGE, self.seq, text, **more))

    def draw(self, **how):
        self.screen._draw(**how)  # noqa: SLF001 instead of a clock

    def __enter__(self):
        self.screen._live.start()  # noqa: SLF001
        return self

    def __exit__(self, *_exc):
        self.draw(is_end=True)
        self.screen._live.stop()  # noqa: SLF001


@pytest.mark.parametrize("seed", range(12))
def test_however_it_arrives_the_whole_answer_stands_there(seed):
    dice = random.Random(seed)  # noqa: S311
    with Playing() as playing:
        at = 0
        while at < len(ANSWER):
            size = dice.randint(1, 12)
            playing.chunk(ANSWER[at : at + size])
            at += size
            if dice.random() < 0.7:
                playing.draw()

    assert playing.glass.text == rendered(ANSWER)


def test_a_link_defined_before_is_known_after_its_definition_scrolled_away():
    with Playing() as playing:
        playing.chunk("[a]: https://example.org/a\n\nFirst.\n\n")
        playing.draw()
        playing.chunk("Second.\n\nThird, by [name][a].\n")
        playing.draw()

    assert playing.glass.text.endswith("name (https://example.org/a).")


@pytest.mark.parametrize("answer", [LONG_CODE, LONG_LIST, LONG_TABLE])
def test_a_block_longer_than_the_window_scrolls_and_stands_there_once(answer):
    with Playing() as playing:
        for line in answer.splitlines(keepends=True):
            half = len(line) // 2
            for piece in (line[:half], line[half:]):
                playing.chunk(piece)
                playing.draw()

    assert playing.glass.text == rendered(answer)


def test_the_top_of_a_long_block_can_be_read_before_it_ends():
    with Playing() as playing:
        playing.chunk(LONG_CODE[: LONG_CODE.index("line 60")])
        playing.draw()

        assert "line 0" in playing.glass.text
        assert "line 59" in playing.glass.text


def test_a_snapshot_takes_the_place_of_what_came_before():
    with Playing() as playing:
        playing.chunk("Hel")
        playing.draw()
        playing.screen.show(events.snapshot(MESSAGE, 9, "Hello, *you*"))
        playing.draw()

    assert playing.glass.text == "Hello, you"


def test_what_a_model_thinks_is_shown_only_meanwhile():
    with Playing() as playing:
        playing.chunk("", reasoning="First I look, ")
        playing.draw()
        assert "First I look" in playing.glass.text
        assert "thinking" in playing.glass.text
        playing.chunk("Found.")
        playing.draw()
        assert "First I look" not in playing.glass.text

    assert playing.glass.text == "Found."


def test_a_tool_that_is_called_is_named():
    with Playing() as playing:
        playing.chunk("", tool_call={"id": "1", "name": "search_articles", "arguments": "{}"})
        playing.draw()

        assert "search_articles" in playing.glass.text


def test_an_answer_without_text_leaves_nothing():
    with Playing() as playing:
        playing.draw()
        assert "Ctrl-C" in playing.glass.text

    assert playing.glass.text == ""


def test_the_end_of_a_stopped_answer_says_so_at_once():
    with Playing() as playing:
        playing.screen.stopping()
        playing.draw()

        assert "stopping" in playing.glass.text


def test_a_model_cannot_steer_the_terminal():
    glass = io.StringIO()
    screen = LiveScreen(console(glass))
    screen._live.start()  # noqa: SLF001
    screen.show(events.chunk(MESSAGE, 1, "a\x1b]0;title\x07b\x1b[2Jc\x9b31md\u202ee\r\nf"))
    screen._draw(is_end=True)  # noqa: SLF001
    screen._live.stop()  # noqa: SLF001

    assert "\x1b]0" not in glass.getvalue()
    assert "\x1b[2J" not in glass.getvalue()
    assert not {"\x07", "\x9b", "\u202e"} & set(glass.getvalue())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_model_writes_is_shown(seed):
    dice = random.Random(seed)  # noqa: S311
    signs = ["|", "-", "```", "\n", " ", "    ", "a", "1.", "*", "**", "[", "](", ")", "<b>", "> "]
    text = "".join(dice.choice(signs) for _ in range(300))
    with Playing() as playing:
        for sign in text:
            playing.chunk(sign)
        playing.draw()

    assert playing.glass.text == rendered(text)
