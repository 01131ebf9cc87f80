"""`emdc energy`: what counters counted."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from emdc.cli import execute, past
from emdc.storage.database import open_engine
from emdc.storage.migrate import upgrade
from emdc.storage.schema import HEAD
from tests.cli.recorded import (
    END,
    METER,
    WATTS,
    WH,
    ZONE,
    printed,
    record,
    refused,
    table,
)
from tests.storage.filled import fill
from tests.storage.old_collector import BY_HAND, make
from tests.storage.plant import execute as run
from tests.storage.plant import open_new
from tests.storage.reckoned import reckon
from tests.storage.test_old_samples import PACIFIC

pytestmark = pytest.mark.usefixtures("at_end")


def test_days_are_those_of_the_meters_zone(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    title, rows = table(capsys, recorded, "energy", f"--topic={WH}", "--start=2026-02-28")
    assert title == f"{WH}, America/Los_Angeles"
    assert rows == [
        ["period", "Wh", "complete"],
        ["2026-02-28", "14,400", "100 %"],
        ["2026-03-01", "14,350", "95.8 %", "suspect"],
        ["2026-03-02 until 12:01", "7,150", "100 %"],
        ["total", "35,900", "98.3 %", "suspect"],
    ]


def test_without_a_start_it_is_the_days_of_a_week(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, rows = table(capsys, recorded, "energy", f"--topic={WH}")
    assert [row[0] for row in rows[1:]] == [
        *(f"2026-02-{day}" for day in range(23, 29)),
        *("2026-03-01", "2026-03-02 until 12:01", "total"),
    ]
    assert rows[1] == ["2026-02-23", "-", "-"]


def test_a_meter_means_all_its_counters(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--start=2026-02-28", "--end=2026-03-01", "--json")
    lines, _ = printed(capsys, recorded, "energy", f"--topic={METER}", *flags)
    assert [json.loads(line)["topic"] for line in lines] == [WH]
    both = (f"--topic={WATTS}", f"--topic={METER}", f"--topic={WH}")
    lines, _ = printed(capsys, recorded, "energy", *both, *flags)
    assert [json.loads(line)["topic"] for line in lines] == [WATTS, WH]


def test_a_power_is_an_estimate(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--start=2026-02-28", "--end=2026-03-01", "--per=total")
    _, rows = table(capsys, recorded, "energy", "--topic=W", *flags)
    assert rows[1:] == [["2026-02-28 00:00 to 2026-03-01 00:00", "14,406", "100 %", "estimated"]]


def test_json_has_the_fields_of_http_and_the_offset_of_the_zone(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--start=2026-03-01", "--end=2026-03-01T02:00", "--per=hour", "--json")
    (line,), _ = printed(capsys, recorded, "energy", f"--topic={WH}", *flags)
    hour = {"energy": 600, "completeness": 100, "quality": "measured"}
    ats = [f"2026-03-01T0{n}:00:00-08:00" for n in range(3)]
    assert json.loads(line) == {
        "topic": WH,
        "unit": "Wh",
        "zone": "America/Los_Angeles",
        "per": "hour",
        "periods": [{"start": ats[n], "end": ats[n + 1], **hour} for n in range(2)],
    }


def test_csv_is_one_table_for_all_topics(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = (f"--topic={WH}", f"--topic={WATTS}")
    lines, _ = printed(
        capsys, recorded, "energy", *topics, "--start=2026-02-28", "--end=2026-03-01", "--csv"
    )
    span = "2026-02-28T00:00:00-08:00,2026-03-01T00:00:00-08:00"
    assert lines == [
        "topic,unit,start,end,energy,completeness,quality",
        f"{WH},Wh,{span},14400.0,100.0,measured",
        f"{WATTS},Wh,{span},14406.0,100.0,estimated",
    ]


@pytest.mark.parametrize(
    ("flags", "first", "last"),
    [
        (("--per=hour",), "2026-03-02 10:13", "2026-03-02 12:00 until 12:01"),
        (("--per=15min",), "2026-03-02 10:13", "2026-03-02 12:00 until 12:01"),
        (("--per=day",), "2026-03-02 from 10:13 until 12:01", "2026-03-02 from 10:13 until 12:01"),
        (("--per=week",), "2026-W10 from 2026-03-02 10:13 until 2026-03-02 12:01", None),
        (("--per=month",), "2026-03 from 2026-03-02 10:13 until 2026-03-02 12:01", None),
        (("--per=year", "--end=2027"), "2026 from 2026-03-02 10:13", None),
        (("--per=total",), "2026-03-02 10:13:14 to 2026-03-02 12:01:00", None),
    ],
)
def test_period_that_is_cut_says_where(
    flags: tuple[str, ...],
    first: str,
    last: str | None,
    recorded: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start = "--start=2026-03-02T10:13:14.15"
    _, rows = table(capsys, recorded, "energy", f"--topic={WH}", start, *flags)
    names = [row[0] for row in rows[1:] if row[0] != "total"]
    assert (names[0], names[-1]) == (first, last or first)


@pytest.mark.parametrize(
    ("start", "first"),
    [("-1d", "2026-03-01 from 12:01"), ("yesterday", "2026-03-01"), ("2026-02", "2026-02-01")],
)
def test_times_are_as_people_say_them(
    start: str, first: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags in ((f"--start={start}",), ("--start", start)):
        _, rows = table(capsys, recorded, "energy", f"--topic={WH}", *flags)
        assert rows[1][0] == first


def test_hour_that_the_clock_has_twice_has_its_offset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = record(tmp_path / "emdc.db")
    monkeypatch.setattr(past, "now", lambda: datetime(2026, 11, 2, tzinfo=ZONE).timestamp())
    flags = ("--start=2026-11-01", "--end=2026-11-01T03:00", "--per=hour")
    _, rows = table(capsys, database, "energy", f"--topic={WH}", *flags)
    assert [row[0] for row in rows[1:-1]] == [
        "2026-11-01 00:00",
        "2026-11-01 01:00-07:00",
        "2026-11-01 01:00-08:00",
        "2026-11-01 02:00",
    ]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ((), f"--topic: missing, expected a counter, such as {WH}\n"),
        (("--topic=UW/Mercer/nexus",), "--topic: no topic is called 'UW/Mercer/nexus', did you"),
        (("--topic=Serial",), f"topic {METER}/Serial: a text, expected a counter or a power"),
        (("--topic=W", "--start=last week"), "--start: 'last week', expected such as 2026-03-01"),
        (("--topic=W", "--end", "-3x"), "--end: '-3x', expected such as"),
        (("--topic=W", "--per=decade"), "--per: 'decade', expected one of 15min, hour, day, week"),
        (("--topic=W", "--json", "--csv"), "--json and --csv: expected one of them"),
        (("--topic=W", "--start=now"), "expected a start before the end"),
        (("--topic=W", "--start=1980", "--per=15min"), "expected at most 100000"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    flags: tuple[str, ...], problem: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in refused(capsys, recorded, "energy", *flags)


def test_weeks_are_those_of_the_calendar(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weeks = ("--start=2026-W09", "--per=week")
    _, rows = table(capsys, recorded, "energy", f"--topic={WH}", *weeks)
    assert rows[1:] == [
        ["2026-W09", "28,750", "97.9 %", "suspect"],
        ["2026-W10 until 2026-03-02 12:01", "7,150", "100 %"],
        ["total", "35,900", "98.3 %", "suspect"],
    ]
    lines, _ = printed(capsys, recorded, "energy", f"--topic={WH}", *weeks, "--plot")
    assert lines[-1].split() == ["W09", "W10"]


def test_meter_without_a_counter_is_told_its_powers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = open_new(tmp_path / "emdc.db")
    fill(engine, {"a/b/V": {0: 1.0}, "a/b/W": {0: 1.0}})
    engine.dispose()
    run(tmp_path / "emdc.db", """INSERT OR REPLACE INTO meta VALUES (2, '{"units":"W"}')""")
    said = refused(capsys, tmp_path / "emdc.db", "energy", "--topic=a/b")
    assert "meter a/b has no counter, expected a power of it, such as a/b/W" in said


def test_quarter_hours_that_are_not_made_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = record(tmp_path / "emdc.db", reckoned=False)
    flags = ("energy", f"--topic={METER}", "--per=total", "--start=2026-02-28", "--csv")
    before, noted = printed(capsys, database, *flags)
    assert f"{METER}: none of its quarter hours is made yet" in noted
    assert "emdc intervals with the same flags" in noted
    engine = open_new(database)
    reckon(engine, END)
    engine.dispose()
    after, noted = printed(capsys, database, *flags)
    assert noted == ""
    assert before == after
    run(database, "UPDATE interval_progress SET next_ts = '2026-03-01 20:00:00.000000'")
    _, noted = printed(capsys, database, *flags)
    assert "its quarter hours are made until 2026-03-01T12:00:00-08:00" in noted


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        (PACIFIC, f"{METER}: none of its quarter hours is made yet"),
        ("keep", "rows of the old collector are left out mend="),
    ],
)
def test_upgraded_database_says_what_is_to_be_done(
    zone: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "emdc.db"
    engine = open_engine(f"sqlite:///{database}")
    make(engine, BY_HAND)
    run(database, """UPDATE meta SET metadata = '{"units":"W","tz":"PT","type":"float"}'""")
    upgrade(engine, data_timezone=zone)
    engine.dispose()
    _, noted = printed(capsys, database, "energy", "--topic=Voltage_AN", "--start=2019")
    assert said in noted
    assert len(noted.splitlines()) == 1


def test_database_is_only_read(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = recorded.read_bytes()
    printed(capsys, recorded, "energy", f"--topic={WH}")
    assert recorded.read_bytes() == before


def test_it_works_while_another_process_writes(
    tmp_path: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Path(shutil.copy(recorded, tmp_path / "emdc.db"))
    engine = open_new(database)
    with engine.connect() as writer:
        writer.exec_driver_sql("DELETE FROM interval_rows")
        writer.exec_driver_sql("DELETE FROM interval_days")
        _, rows = table(capsys, database, "energy", f"--topic={WH}", "--start=2026-02-28")
    engine.dispose()
    assert rows[1] == ["2026-02-28", "14,400", "100 %"]


def test_database_of_another_version_says_what_to_run(
    tmp_path: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Path(shutil.copy(recorded, tmp_path / "emdc.db"))
    run(database, "UPDATE alembic_version SET version_num = '7c1d5e90a2f4'")
    assert execute(["energy", f"--topic={WH}", f"--db_host={database}"]) == 1
    assert f"expected {HEAD}: run emdc migrate" in capsys.readouterr().err


def test_bars_are_drawn_for_each_period(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "20")
    lines, _ = printed(capsys, recorded, "energy", f"--topic={WH}", "--start=2026-02-28", "--plot")
    assert lines[0] == f"{WH}, Wh, America/Los_Angeles"
    assert lines[-1].split() == ["02-28", "03-01", "03-02"]
    # The half day is half as high.
    assert {line.count("█") for line in lines} >= {26, 39}
    assert max(map(len, lines)) <= 60
