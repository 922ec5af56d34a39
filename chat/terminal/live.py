"""An answer in a terminal: Markdown while it is written.

What is finished is printed and scrolls like any text. Only the unfinished end of the answer is
drawn anew, and it never takes more lines than the window has.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
from django.utils.translation import gettext as _
from rich.live import Live
from rich.text import Text

from chat.streams import events
from chat.terminal.markdown import Line, Lines, blocks_of, lines_of
from chat.terminal.saying import one_line, visible

if TYPE_CHECKING:
    from rich.console import Console

    from chat.streams.events import Event

_FRAME_SECONDS = 1 / 15
# Drawing takes at most this part of the time, however long a block has grown.
_SHARE = 1 / 6
# Lines of the window that are not the answer's: the note below it, and some air.
_OTHER_LINES = 4
_THOUGHTS = 3


class LiveScreen:
    """Use it within `shown()`, which draws until it is left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Changed in place: printing above redraws what Live was given last.
        self._below = Lines([])
        self._live = Live(
            self._below,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._text = ""
        self._thoughts = ""
        self._note = ""
        self._began = time.monotonic()
        self._frames = itertools.cycle("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if _is_unicode(console) else "|/-\\")
        # `_text` up to `_from` is printed whole; of what follows, `_printed` lines are.
        self._from = 0
        self._printed = 0
        self._is_first = True
        self._references: dict[str, Any] = {}
        # Of each finished block: the source line after it, and its last rendered line.
        self._finished: list[tuple[int, int]] = []

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Draw at a steady pace; at the end print what is left."""
        drawing = asyncio.create_task(self._keep_drawing())
        try:
            with self._live:
                try:
                    yield
                finally:
                    drawing.cancel()
                    self._draw(is_end=True)
        finally:
            drawing.cancel()

    def show(self, event: Event) -> None:
        body = orjson.loads(event.data)
        if event.type == events.CHUNK:
            self._text += visible(body["content"])
            self._thoughts += visible(body.get("reasoning", ""))
            if call := body.get("tool_call"):
                self._note = _("calls %(tool)s") % {"tool": one_line(call["name"])}
        elif event.type == events.SNAPSHOT:
            self._replace(visible(body["content"]))
        elif event.type == events.COMPLETE:
            self._replace(visible(body["message"]["content"]))

    def stopping(self) -> None:
        self._note = _("stopping")

    def _replace(self, text: str) -> None:
        if not text.startswith(self._text[: self._from]):
            # What stands printed cannot be taken back: the other text follows it.
            self._from = self._printed = 0
        self._text = text

    # -- drawing ---------------------------------------------------------------------------
    async def _keep_drawing(self) -> None:
        while True:
            began = time.monotonic()
            self._draw()
            took = time.monotonic() - began
            await asyncio.sleep(max(_FRAME_SECONDS, took / _SHARE))

    def _draw(self, *, is_end: bool = False) -> None:
        """Print the lines that will not change any more, and draw the rest below them."""
        lines, settled = self._layout(is_end=is_end)
        fresh, rest = lines[self._printed : settled], lines[max(settled, self._printed) :]
        self._printed = max(settled, self._printed)
        status = [] if is_end else self._status(has_text=bool(lines))
        self._below.lines = [] if is_end else [*rest[-self._room() :], *status]
        if fresh:
            self._console.print(Lines(fresh), end="")
        else:
            self._live.refresh()
        self._let_go()

    def _layout(self, *, is_end: bool) -> tuple[list[Line], int]:
        """All lines of the unfinished text, and how many of them are settled."""
        pending = self._text[self._from :]
        blocks = blocks_of(pending, copy.deepcopy(self._references))
        whole_lines = pending.count("\n")
        lines: list[Line] = []
        settled = 0
        self._finished = []
        for number, block in enumerate(blocks):
            if lines or not self._is_first:
                lines.append([])
            lines += lines_of(block, self._console)
            following = blocks[number + 1] if number + 1 < len(blocks) else None
            # A block is finished once another begins with a whole line: half a line may yet
            # turn out to belong to it.
            if following is not None and following.line < whole_lines:
                settled = len(lines)
                self._finished.append((following.line, settled))
        if is_end:
            return lines, len(lines)
        if not any(block.is_table for block in blocks[len(self._finished) :]):
            # Too much for the window: its first lines scroll away before the block has ended.
            # A table's may not, as its columns still move.
            settled = max(settled, len(lines) - self._room())
        return lines, settled

    def _let_go(self) -> None:
        """Forget the source of finished blocks, all of which are printed."""
        if not self._finished:
            return
        line, printed = self._finished[-1]
        pending = self._text[self._from :]
        gone = pending[: sum(len(each) + 1 for each in pending.split("\n")[:line])]
        blocks_of(gone, self._references)  # what its links are called stays known
        self._from += len(gone)
        self._printed -= printed
        self._is_first = False

    def _room(self) -> int:
        return max(3, self._console.height - _OTHER_LINES - _THOUGHTS)

    def _status(self, *, has_text: bool) -> list[Line]:
        """The moving line below the answer, and before it what the model thinks meanwhile."""
        seconds = int(time.monotonic() - self._began)
        thinking = bool(self._thoughts) and not self._text
        doing = self._note or (_("thinking") if thinking else "")
        parts = [doing, _("%(seconds)d s") % {"seconds": seconds}, _("Ctrl-C stops")]
        said = " · ".join(part for part in parts if part)
        status = Text(f"{next(self._frames)} {said}", style="dim")
        texts = [Text(""), status] if has_text else [status]
        if thinking:
            width = max(10, self._console.width - 4)
            wrapped = Text(self._thoughts, style="dim italic").wrap(self._console, width)
            texts = [*wrapped[-_THOUGHTS:], *texts]
        return [line for text in texts for line in self._console.render_lines(text, pad=False)[:1]]


def _is_unicode(console: Console) -> bool:
    return console.encoding.startswith("utf")
