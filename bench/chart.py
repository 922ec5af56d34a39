"""Bars as SVG, drawn by hand: no library, and readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

Bars = Sequence[tuple[str, float | None]]

_WIDTH = 720
_LABEL = 300
_VALUE = 90
_ROW = 22
_BAR = 14
_HEAD = 34
_GROUP = 26
# Middle tones, which stand out from white as from black.
_TEXT = "#7d8590"
_COLOURS = ("#3d8bd4", "#2f9e6e", "#c77b30", "#a46bc9")


def bars(title: str, groups: Sequence[tuple[str, Bars]], *, unit: str = "") -> str:
    """Horizontal bars. Each group has a colour and a scale of its own, for groups may be orders of
    magnitude apart, and a heading unless that is empty."""
    lines, y = [], _HEAD
    for number, (name, group) in enumerate(groups):
        if name:
            lines.append(_text(0, y + 14, name, weight="600"))
            y += _GROUP
        most = max((value for _label, value in group if value), default=1.0)
        for label, value in group:
            lines += _row(y, label, value, most, _COLOURS[number % len(_COLOURS)])
            y += _ROW
        y += 8
    head = _text(0, 16, f"{title}{f', {unit}' if unit else ''}", size=14, weight="600")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" '
            f'width="{_WIDTH}" height="{y}" role="img" font-family="sans-serif">',
            f"<title>{escape(title)}</title>",
            head,
            *lines,
            "</svg>\n",
        ]
    )


def _row(y: int, label: str, value: float | None, most: float, colour: str) -> list[str]:
    shown = "-" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
    width = round((_WIDTH - _LABEL - _VALUE) * (value or 0) / most, 1)
    return [
        _text(_LABEL - 8, y + _BAR - 2, label, anchor="end"),
        f'<rect x="{_LABEL}" y="{y}" width="{width}" height="{_BAR}" rx="2" fill="{colour}"/>',
        _text(_LABEL + width + 6, y + _BAR - 2, shown),
    ]


def _text(
    x: float, y: float, text: str, *, size: int = 12, weight: str = "400", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{_TEXT}">{escape(text)}</text>'
    )
