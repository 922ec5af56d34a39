"""Tables and charts of what was measured, for docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import aims, chart
from bench.aims import DIRECT, RELAY
from bench.processes import ROOT
from bench.results import Row, median, one

PAGE = ROOT / "docs" / "performance.md"
CHARTS = ROOT / "docs" / "performance"
HEADING = "## The figures"


def tables(parts: dict[str, Any]) -> str:
    """Everything that was measured, as Markdown."""
    sections: dict[str, Callable[[Any], list[str]]] = {
        "streams": _streams,
        "peers": _streams,
        "sockets": _sockets,
        "million": _million,
        "starts": _starts,
    }
    headings = {
        "streams": "Streams",
        "peers": "Beside another proxy",
        "sockets": "Idle sockets",
        "million": "Among a million messages",
        "starts": "Starting",
    }
    lines = ["### The aims", "", *aims.table(parts), ""]
    for name, section in sections.items():
        if part := parts.get(name):
            lines += [f"### {headings[name]}", "", _how(part), "", *section(part), ""]
    return "\n".join(lines).strip()


def write(parts: dict[str, Any], *, page: Path = PAGE, charts: Path = CHARTS) -> None:
    """Put the tables at the end of the page, and the charts beside it."""
    kept = page.read_text(encoding="utf-8").partition(HEADING)[0].rstrip()
    page.write_text(f"{kept}\n\n{HEADING}\n\n{tables(parts)}\n", encoding="utf-8")
    charts.mkdir(exist_ok=True)
    for name, picture in pictures(parts).items():
        (charts / f"{name}.svg").write_text(picture, encoding="utf-8")


def pictures(parts: dict[str, Any]) -> dict[str, str]:
    """Charts by the name of their file."""
    found = {}
    if part := parts.get("streams"):
        rows = part["rows"]
        found["throughput"] = chart.bars(
            "Tokens per CPU-second", _by_streams(rows, "rate", without=(DIRECT,))
        )
        found["first-token"] = chart.bars(
            "Time to the first token, median", _by_streams(rows, "first_p50"), unit="ms"
        )
    if part := parts.get("sockets"):
        groups = [
            (store, [(f"{row['sockets']:,} sockets", row["kib_each"]) for row in rows])
            for store, rows in _grouped(part["rows"], "store")
        ]
        found["sockets"] = chart.bars("Memory of an idle socket", groups, unit="KiB")
    return found


def _how(part: Row) -> str:
    busy = ""
    if part["load"] > 1:
        priority = f", the bench at nice {part['niceness']}" if part["niceness"] else ""
        busy = f" Other work ran on the machine meanwhile{priority}."
    extra = f", LiteLLM {part['litellm']}" if "litellm" in part else ""
    rounds = f" Medians of {part['rounds']} rounds." if "rounds" in part else ""
    return (
        f"{part['date']}, {part['machine']}, Python {part['python']}{extra}, commit "
        f"{part['commit']}: `{part['command']}`.{rounds}{busy}"
    )


def _streams(part: Row) -> list[str]:
    head = (
        "streams",
        "",
        "tokens per CPU-second",
        "of the relay",
        "first token p50, p99 ms",
        "over direct p50, p99 ms",
        "memory MB",
        "errors",
    )
    rows = part["rows"]
    lines = []
    for count in _counts(rows):
        direct = one(rows, target=DIRECT, streams=count)
        relay = one(rows, target=RELAY, streams=count)
        for row in (each for each in rows if each["streams"] == count):
            rounds = row["rounds"]
            rate = median(rounds, "rate")
            base = median(relay["rounds"], "rate") if relay else None
            over = [aims.over(row, direct, name) for name in ("first_p50", "first_p99")]
            lines.append(
                (
                    f"{count:,}",
                    row["target"],
                    _number(rate),
                    f"{rate / base:.2f}" if rate and base else "-",
                    _pair(median(rounds, name) for name in ("first_p50", "first_p99")),
                    "-" if row is direct else _pair(over),
                    _number(median(rounds, "memory")),
                    str(sum(each["errors"] for each in rounds)),
                )
            )
    return _table(head, lines)


def _sockets(part: Row) -> list[str]:
    head = ("", "sockets", "KiB each", "memory MB", "% of a core in all")
    return _table(
        head,
        [
            (
                row["store"],
                f"{row['sockets']:,}",
                str(row["kib_each"]),
                str(row["memory"]),
                str(row["core_percent"]),
            )
            for row in part["rows"]
        ],
    )


def _million(part: Row) -> list[str]:
    head = ("", "messages", "request", "p50 ms", "p99 ms")
    return _table(
        head,
        [
            (row["store"], f"{row['messages']:,}", row["request"], str(row["p50"]), str(row["p99"]))
            for row in part["rows"]
        ],
    )


def _starts(part: Row) -> list[str]:
    head = ("", "start", "seconds until ready")
    lines = []
    for row in part["rows"]:
        rounds = [{"seconds": each} for each in row["seconds"]]
        lines.append((row["store"], row["start"], f"{median(rounds, 'seconds'):.1f}"))
    return _table(head, lines)


def _by_streams(
    rows: Sequence[Row], name: str, *, without: Sequence[str] = ()
) -> list[tuple[str, chart.Bars]]:
    return [
        (
            f"{count:,} streams",
            [
                (row["target"], median(row["rounds"], name))
                for row in rows
                if row["streams"] == count and row["target"] not in without
            ],
        )
        for count in _counts(rows)
    ]


def _grouped(rows: Iterable[Row], name: str) -> list[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return list(found.items())


def _counts(rows: Sequence[Row]) -> list[int]:
    return sorted({row["streams"] for row in rows})


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"| {' | '.join(['---'] * len(head))} |",
        *(f"| {' | '.join(line)} |" for line in lines),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _pair(values: Iterable[float | None]) -> str:
    return ", ".join("-" if each is None else f"{each:,.1f}" for each in values)
