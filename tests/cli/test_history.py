"""`emdc history`: what a topic was over a span."""

import io
import json
import os
import pty
import sys
from pathlib import Path

import pytest

from emdc.cli import execute, history
from emdc.cli.csvfile import instant_of
from tests.cli.recorded import SERIAL, WATTS, WH, printed, refused, table
from tests.storage.filled import fill
from tests.storage.plant import open_new

pytestmark = pytest.mark.usefixtures("at_end")

HOUR = ("--start=2026-03-01T05:30", "--end=2026-03-01T07:30")
"""With an outage from 6 to 7."""


def test_few_readings_are_given_as_they_are(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    title, rows = table(capsys, recorded, "history", f"--topic={WATTS}", *HOUR)
    assert title == f"{WATTS}, W, America/Los_Angeles"
    assert rows[0] == ["time", "value"]
    assert rows[1] == ["2026-03-01 05:30", "600.25"]
    assert rows[6:9] == [["2026-03-01 05:55", "600.25"], ["…"], ["2026-03-01 07:00", "600.25"]]
    assert len(rows) == 1 + 6 + 1 + 6


def hour(time: str, least: str, mean: str, most: str) -> list[str]:
    """The row of an hour of a register."""
    return [time, "12", least, mean, most, least, most]


def test_longer_spans_are_given_in_steps(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--start=2026-03-01T04:00", "--end=2026-03-01T10:00", "--step=1h")
    title, rows = table(capsys, recorded, "history", f"--topic={WH}", *flags)
    assert title == f"{WH}, Wh, America/Los_Angeles, steps of 1 h from intervals"
    assert rows == [
        ["time", "count", "minimum", "mean", "maximum", "first", "last"],
        [
            "2026-03-01 04:00",
            *["12", "1,016,800", "1,017,075", "1,017,350", "1,016,800", "1,017,350"],
        ],
        [
            "2026-03-01 05:00",
            *["12", "1,017,400", "1,017,675", "1,017,950", "1,017,400", "1,017,950"],
        ],
        ["…"],
        [
            "2026-03-01 07:00",
            *["12", "1,018,600", "1,018,875", "1,019,150", "1,018,600", "1,019,150"],
        ],
        [
            "2026-03-01 08:00",
            *["12", "1,019,200", "1,019,475", "1,019,750", "1,019,200", "1,019,750"],
        ],
        [
            "2026-03-01 09:00",
            *["12", "1,019,800", "1,020,075", "1,020,350", "1,019,800", "1,020,350"],
        ],
    ]


def test_a_table_has_no_more_rows_than_points(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    span = ("--start=2026-02-28", "--end=2026-03-02")
    title, rows = table(capsys, recorded, "history", f"--topic={WATTS}", *span)
    assert "steps of 1 h" in title
    assert len(rows) == 1 + 48
    title, rows = table(capsys, recorded, "history", f"--topic={WATTS}", *span, "--points=8")
    assert "steps of 12 h" in title


def test_without_a_start_it_is_the_last_day(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,), _ = printed(capsys, recorded, "history", "--topic=W", "--json")
    answer = json.loads(line)
    assert answer["start"] == "2026-03-01T12:01:00-08:00"
    assert answer["end"] == "2026-03-02T12:01:00-08:00"
    assert len(answer["rows"]) == 287


def test_json_has_the_fields_of_http(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,), _ = printed(capsys, recorded, "history", "--topic=W", *HOUR, "--step=30min", "--json")
    bucket = [6, 600.25, 600.25, 600.25, 600.25, 600.25]
    assert json.loads(line) == {
        "topic": WATTS,
        "unit": "W",
        "zone": "America/Los_Angeles",
        "start": "2026-03-01T05:30:00-08:00",
        "end": "2026-03-01T07:30:00-08:00",
        "step_s": 1800,
        "source": "intervals",
        "columns": ["start", "count", "minimum", "maximum", "mean", "first", "last"],
        "rows": [["2026-03-01T05:30:00-08:00", *bucket], ["2026-03-01T07:00:00-08:00", *bucket]],
    }


def test_readings_as_csv_are_lines_that_import_takes(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, _ = printed(capsys, recorded, "history", "--topic=Serial", *HOUR, "--step=0", "--csv")
    assert lines[:2] == ["ts,topic,value", f"2026-03-01T05:30:00-08:00,{SERIAL},A1"]
    assert instant_of(lines[1].split(",")[0]) == "2026-03-01 13:30:00.000000"


def test_all_pages_are_given(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_PAGE", 7)
    flags = ("--start=2026-02-28", "--end=2026-03-02")
    for more, count in (("--step=15min", 188), ("--step=0", 564), ("--step=5min", 564)):
        lines, _ = printed(capsys, recorded, "history", "--topic=W", *flags, more, "--csv")
        assert len(lines) == 1 + count
        (line,), _ = printed(capsys, recorded, "history", "--topic=W", *flags, more, "--json")
        assert len(json.loads(line)["rows"]) == count


def test_cells_of_csv_are_harmless_and_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = open_new(tmp_path / "emdc.db")
    fill(engine, {"a/T": {0.25: "=1+1"}, "a/N": {0.25: 2**63 + 1}})
    engine.dispose()
    for metric, cell in (("T", "'=1+1"), ("N", "9223372036854775809")):
        flags = (f"--topic=a/{metric}", "--start=2026-03-01", "--step=0", "--csv")
        lines, _ = printed(capsys, tmp_path / "emdc.db", "history", *flags)
        assert lines[1].endswith(f":00.250000-08:00,a/{metric},{cell}") or lines[1].endswith(
            f":00.250000+00:00,a/{metric},{cell}"
        )


def test_texts_are_given_as_they_are(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, rows = table(capsys, recorded, "history", "--topic=Serial", *HOUR)
    assert rows[1] == ["2026-03-01 05:30", "A1"]


def test_span_without_a_reading_says_so(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    span = ("--start=2025-01-01", "--end=2025-01-02")
    for form in ((), ("--plot",)):
        lines, _ = printed(capsys, recorded, "history", "--topic=W", *span, *form)
        assert "nothing was read from 2025-01-01T00:00:00-08:00" in lines[-1]
    lines, _ = printed(capsys, recorded, "history", "--topic=W", *span, "--csv")
    assert lines == ["ts,topic,value"]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ((), "--topic: missing, expected a topic, such as"),
        (("--topic=Watts",), "--topic: no topic is called 'Watts'"),
        (("--topic=W", "--step=1x"), "--step: '1x', expected whole seconds up to 366 days"),
        (("--topic=W", "--points=9", "--step=1h"), "--points: expected without --step"),
        (("--meter=a",), "unknown option: --meter, did you mean --topic"),
        (("--topic=W", "--points=0"), "--points: 0, expected 1-100000"),
        (
            ("--topic=Serial", "--step=1h"),
            f"--topic: {SERIAL} holds texts, expected a topic",
        ),
        (("--topic=Serial", "--plot"), f"--topic: {SERIAL} holds texts"),
        (("--topic=W", "--csv", "--plot"), "--csv and --plot: expected one of them"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    flags: tuple[str, ...], problem: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in refused(capsys, recorded, "history", *flags)


def test_table_that_nobody_reads_is_refused(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_ROWS", 100)
    flags = ("--topic=W", "--start=2026-02-28", "--step=0")
    assert "more than 100 rows, expected fewer in a table" in refused(
        capsys, recorded, "history", *flags
    )


def test_line_is_broken_where_nothing_was_read(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "20")
    hours = ("--start=2026-03-01T04:30", "--end=2026-03-01T08:30")
    lines, _ = printed(capsys, recorded, "history", "--topic=W", *hours, "--plot")
    assert lines[0] == f"{WATTS}, W, America/Los_Angeles"
    assert lines[-1].split() == ["05:00", "06:00", "07:00", "08:00"]
    assert max(map(len, lines)) <= 60
    (drawn,) = [line for line in lines if "⣀" in line]
    left, right = (len(part) for part in drawn.strip("│").split("┤")[1].split("      ", 1))
    assert len(drawn.split("┤")[1].replace("⣀", " ").strip(" │⢀⡀⠠⠤")) == 0
    assert left > 15
    assert right > 15


def test_plot_is_plain_where_nobody_looks(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, _ = printed(capsys, recorded, "history", "--topic=W", *HOUR, "--plot")
    assert "\x1b" not in "".join(lines)


def test_plot_is_ascii_where_there_is_no_utf8(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    for command in ("history", "energy"):
        assert execute([command, "--topic=W", *HOUR, "--plot", f"--db_host={recorded}"]) == 0
    drawn = out.getvalue().decode("ascii")
    assert "\\u" not in drawn
    assert "*****" in drawn
    assert "#####" in drawn


@pytest.mark.parametrize(("no_colour", "coloured"), [("", True), ("1", False)])
def test_plot_has_colour_on_a_terminal_unless_nobody_wants_it(
    *, no_colour: str, coloured: bool, recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, other = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("COLUMNS", "30")  # so that all of it has room in the terminal's buffer
    monkeypatch.setenv("LINES", "8")
    with open(other, "w", encoding="utf-8") as terminal:  # noqa: PTH123 (a number)
        monkeypatch.setattr(sys, "stdout", terminal)
        flags = ("--topic=W", *HOUR, "--plot", f"--db_host={recorded}")
        assert execute(["history", *flags]) == 0
        drawn = b""
        while b"07:00" not in drawn:
            drawn += os.read(main, 4096)
    os.close(main)
    assert (b"\x1b[" in drawn) == coloured


def test_plot_without_its_package_says_what_to_install(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    for command in ("history", "energy"):
        said = refused(capsys, recorded, command, f"--topic={WATTS}", *HOUR, "--plot")
        assert "plotext, which is not installed: pip install 'emdc[plot]'" in said
