from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emdc.cli import execute, retention
from emdc.collector.clock import Clock
from emdc.reading import MeterReading
from tests.storage.plant import METER, METRICS, open_new, profile, rows, store
from tests.storage.plant import execute as run
from tests.storage.reckoned import reckon

NOW = datetime.now(UTC)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A reading of each of the last ten days, of two meters."""
    path = tmp_path / "emdc.db"
    engine = open_new(path)
    days = [NOW - timedelta(days=day) for day in range(10, 0, -1)]
    found = [
        MeterReading(meter, at, at, METRICS, (120.5, 7, "A1"), {}, scheduled=False)
        for at in days
        for meter in (METER, "UW/Elm/eaton_meter")
    ]
    store(
        engine,
        *found,
        profiles=(profile(interval_s=None), profile("UW/Elm/eaton_meter", interval_s=None)),
        now=days[0],
    )
    reckon(engine, NOW)
    engine.dispose()
    return path


def count(path: Path) -> int:
    number: int = rows(path, "SELECT count(*) FROM readings")[0][0]
    return number


def test_old_readings_go_and_it_is_said(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["retention", "--days=5", "--yes", f"--db_host={database}"]) == 0
    text = capsys.readouterr().out
    assert f"{METER}: 5, from " in text
    assert "10 readings deleted" in text
    assert count(database) == 10
    assert execute(["check", f"--db_host={database}"]) == 0


def test_only_the_named_meter_is_touched(database: Path) -> None:
    flags = ("--days=5", "--yes", f"--meter={METER}")
    assert execute(["retention", *flags, f"--db_host={database}"]) == 0
    assert count(database) == 15


def test_dry_run_deletes_nothing(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["retention", "--days=5", "--dry_run", f"--db_host={database}"]) == 0
    assert "nothing was deleted" in capsys.readouterr().out
    assert count(database) == 20


def test_readings_whose_quarter_hours_are_not_made_stay(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = f"{NOW - timedelta(days=8):%Y-%m-%d}"
    run(
        database,
        f"UPDATE interval_progress SET next_ts = '{day} 00:15:00.000000' WHERE meter_id = 1;"
        "DELETE FROM interval_progress WHERE meter_id = 2",
    )
    for flags in (("--yes",), ("--dry_run",)):
        assert execute(["retention", "--days=5", *flags, f"--db_host={database}"]) == 1
        said = capsys.readouterr().err
        assert f"\n  UW/Elm/eaton_meter: none is made\n  {METER}: from {day} 00:15 UTC on\n" in said
        assert "run emdc intervals with the same flags first" in said
        assert count(database) == 20
    lost = ["--days=5", "--yes", "--without_intervals"]
    assert execute(["retention", *lost, f"--db_host={database}"]) == 0
    assert count(database) == 10


def test_where_nobody_can_be_asked_it_takes_a_yes(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["retention", "--days=5", f"--db_host={database}"]) == 2
    assert "expected --yes" in capsys.readouterr().err
    assert count(database) == 20


def test_nothing_old_is_nothing_to_do(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["retention", "--days=50", f"--db_host={database}"]) == 0
    assert "no reading before" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--days=0", "--days=-1", "--days=x", "--days=1.5", "--meter=x"])
def test_days_that_are_none_are_2(
    flag: str, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["retention", flag, "--yes", f"--db_host={database}"]) == 2
    assert "--days: " in capsys.readouterr().err
    assert count(database) == 20


def test_unknown_meter_is_2_with_the_nearest(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--days=5", "--yes", "--meter=UW/Elm")
    assert execute(["retention", *flags, f"--db_host={database}"]) == 2
    assert "no meter 'UW/Elm', expected one such as UW/Elm/eaton_meter" in capsys.readouterr().err
    assert count(database) == 20


def test_clock_that_cannot_be_right_deletes_nothing(
    database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = Clock(lambda: datetime(2190, 1, 1, tzinfo=UTC), lambda: 0.0)
    monkeypatch.setattr(retention, "utc_now", wrong)
    assert execute(["retention", "--days=5", "--yes", f"--db_host={database}"]) == 1
    assert "the clock of this machine says 2190-01-01" in capsys.readouterr().err
    assert count(database) == 20
