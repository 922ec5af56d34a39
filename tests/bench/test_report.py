"""What is written of a measurement: tables and charts from the file of results."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from bench import report, results, run
from bench.chart import bars

HOW = {
    "date": "2026-11-22",
    "commit": "abc",
    "command": "python -m bench.run",
    "machine": "a machine",
    "python": "3.11",
    "load": 0.1,
    "niceness": 0,
}


def streams(target: str, count: int, *rates: int | None, first: float = 20.0) -> dict[str, Any]:
    found = [
        {"rate": rate, "first_p50": first, "first_p99": first + 5, "memory": 40, "errors": 0}
        for rate in rates
    ]
    return {"target": target, "streams": count, "rounds": found}


PARTS = {
    "streams": HOW
    | {
        "rounds": 3,
        "rows": [
            streams("direct", 50, None, None, None),
            streams("bare relay", 50, 20_000, 30_000, 20_000),
            streams("Parley, SQLite", 50, 9_000, 10_000, 11_000, first=25.0),
            streams("Parley, SQLite", 200, 9_000, 9_000, 9_000, first=90.0),
        ],
    },
    "sockets": HOW
    | {
        "rows": [
            {
                "store": "SQLite",
                "sockets": 10_000,
                "kib_each": 40.0,
                "memory": 600,
                "core_percent": 2.5,
            }
        ]
    },
    "million": HOW
    | {
        "rows": [
            {"store": "SQLite", "messages": 10**6, "request": name, "p50": 5.0, "p99": 60.0}
            for name in ("list", "search")
        ]
    },
    "starts": HOW | {"rows": [{"store": "SQLite", "start": "cold", "seconds": [3.0, 9.0, 4.0]}]},
}


def test_medians_stand_beside_the_relay_of_the_same_run():
    written = report.tables(PARTS)

    assert "| 50 | Parley, SQLite | 10,000 | 0.50 | 25.0, 30.0 | 5.0, 5.0 | 40 | 0 |" in written
    assert "| SQLite | cold | 4.0 |" in written


def test_each_aim_says_whether_it_was_reached():
    lines = [line for line in report.tables(PARTS).splitlines() if "at " in line]

    assert "| 50 streams on SQLite: of the relay | at least 0.5 | 0.50 | yes |" in lines
    assert (
        "| 200 streams on SQLite: tokens per CPU-second, of 50 | at least 1 | 0.90 | **no** |"
        in lines
    )
    assert (
        "| list among a million messages on SQLite, p99 | at most 50 ms | 60 ms | **no** |" in lines
    )
    assert not [line for line in lines if line.startswith("| search among")]


def test_an_aim_that_was_not_measured_is_not_said_to_be_reached():
    assert "Two processes" not in report.tables(PARTS)
    assert "| yes |" not in report.tables({})


def test_a_busy_machine_is_told():
    busy = {"streams": PARTS["streams"] | {"load": 4.2}}

    assert "Other work ran on the machine" in report.tables(busy)
    assert "Other work ran on the machine" not in report.tables(PARTS)


def test_what_was_written_before_is_replaced(tmp_path):
    page, charts = tmp_path / "page.md", tmp_path / "charts"
    page.write_text(f"# Kept\n\n{report.HEADING}\n\nwhat was measured before\n", encoding="utf-8")

    for _time in range(2):
        report.write(PARTS, page=page, charts=charts)

    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Kept\n")
    assert "what was measured before" not in text
    assert text.count(report.HEADING) == 1
    assert {each.name for each in charts.iterdir()} == {
        "throughput.svg",
        "first-token.svg",
        "sockets.svg",
    }


def test_a_part_is_kept_until_it_is_measured_again(tmp_path):
    path = tmp_path / "results.json"
    results.keep("sockets", [{"sockets": 1}], path=path)
    results.keep("starts", [{"start": "cold"}], path=path)
    results.keep("sockets", [{"sockets": 2}], path=path)

    kept = results.load(path)

    assert kept["sockets"]["rows"] == [{"sockets": 2}]
    assert kept["starts"]["rows"] == [{"start": "cold"}]
    assert kept["starts"]["command"].startswith("python -m bench.run")


def test_the_address_of_a_database_is_not_written_down():
    secret = "postgres://me:secret@127.0.0.1/parley"
    argv = ["--only", "streams", "--postgres", secret, f"--redis={secret}", "--write"]

    assert results.command(argv) == "python -m bench.run --only streams --write"


def test_a_chart_is_xml_and_the_longest_bar_is_the_greatest():
    drawn = bars("A & B", [("", [("one", 50.0), ("two", 100.0), ("none", None)])])
    picture = ET.fromstring(drawn)  # noqa: S314 our own

    widths = [float(each.get("width", "")) for each in picture.iter() if each.tag.endswith("rect")]
    assert widths[0] * 2 == widths[1] == max(widths)
    assert widths[2] == 0


def test_the_page_shows_what_the_file_of_results_holds():
    page = report.PAGE.read_text(encoding="utf-8")

    assert page.endswith(f"{report.HEADING}\n\n{report.tables(results.load())}\n")
    for name, picture in report.pictures(results.load()).items():
        assert (report.CHARTS / f"{name}.svg").read_text(encoding="utf-8") == picture
        assert f"performance/{name}.svg" in page


def test_numbers_are_taken_from_the_command_and_unknown_parts_refused(capsys):
    given = run.arguments(["--only", "streams,peers", "--streams", "50"])
    assert (given.only, given.streams, given.rounds) == (["streams", "peers"], [50], 3)
    assert run.arguments([]).sockets == [1_000, 5_000, 10_000]

    with pytest.raises(SystemExit):
        run.arguments(["--only", "stream"])
    assert "no such part: stream" in capsys.readouterr().err
