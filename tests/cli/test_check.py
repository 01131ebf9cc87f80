import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emdc.cli import execute
from emdc.storage.spool.parcel import Entries
from emdc.storage.spool.spool import Spool
from tests.storage.plant import NOON, open_new, reading, store
from tests.storage.plant import execute as change


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "emdc.db"
    engine = open_new(path)
    store(engine, *(reading(at) for at in range(10)))
    engine.dispose()
    return path


def checked(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = execute(["check", f"--db_host={path}", *more])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def test_whole_database_is_well_and_its_silence_is_told(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = checked(database, capsys)
    assert code == 0
    assert "pages, keys and rows are sound" in text
    assert "30 are there, 0 have a reason" in text
    assert "nexus_meter: nothing since 2026-03-01 12:00:10.000000 UTC" in text
    assert text.endswith("all is well\n")


def test_missing_reading_is_told_with_its_tick(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(database, "DELETE FROM readings WHERE ts LIKE '%12:00:03%'")
    code, text = checked(database, capsys)
    assert code == 1
    assert "MISSING OR WRONG: 3 have neither a value nor a reason" in text
    assert "at 2026-03-01 12:00:03.000000, slots 0, 1, 2" in text
    assert text.endswith("not all is well\n")


def test_reasons_are_counted_by_meter_and_not_called_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = open_new(tmp_path / "emdc.db")
    why = {"Voltage_AN": "exception:2", "Serial": "exception:2", "Wh_delivered": "not_available"}
    store(engine, reading(0), reading(1, (None, None, None), gaps=why), reading(2))
    engine.dispose()
    change(
        tmp_path / "emdc.db",
        "INSERT INTO gaps (meter_id, from_ts, to_ts, reason) VALUES "
        "(1, '2026-03-01 12:00:03.000000', '2026-03-01 12:00:05.000000', 'daemon_killed')",
    )
    code, text = checked(tmp_path / "emdc.db", capsys)
    assert (code, text.splitlines()[-1]) == (0, "all accounted for")
    assert "nexus_meter: daemon_killed 6, exception:2 2, not_available 1\n" in text


def test_count_begins_where_it_is_told(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(database, "DELETE FROM readings WHERE ts LIKE '%12:00:03%'")
    code, text = checked(database, capsys, "--since=2026-03-01T12:00:05Z")
    assert (code, "15 are there" in text) == (0, True)


def test_damage_is_told_and_nothing_is_counted(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(database, "UPDATE readings SET vals = 'x' WHERE ts LIKE '%12:00:03%'")
    code, text = checked(database, capsys)
    assert code == 1
    assert "DAMAGE: UW/Mercer/nexus_meter at 2026-03-01 12:00:03.000000: values" in text
    assert "not counted" in text


def test_spool_is_told_and_what_it_set_aside(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = database.with_name("emdc.db-spool")
    spool = Spool(path, limit_bytes=1_000_000, clock=lambda: datetime.now(UTC))
    spool.open()
    spool.put(Entries([reading(10)]))
    spool.set_aside(reading(11), "thirteen is refused")
    spool.close()
    code, text = checked(database, capsys)
    assert code == 0
    assert "1 readings wait in the spool" in text
    assert "12:00:11.000000: thirteen is refused" in text


def test_json_says_the_same(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = checked(database, capsys, "--json")
    found = json.loads(text)
    assert (code, found["ok"], found["findings"], found["spool"]) == (0, True, [], None)
    assert found["conservation"]["values"] == 30
    assert found["conservation"]["lost"] == 0
    assert found["conservation"]["silent"] == {
        "UW/Mercer/nexus_meter": "2026-03-01 12:00:10.000000"
    }


def test_check_changes_nothing(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = database.read_bytes()
    checked(database, capsys)
    assert database.read_bytes() == before


@pytest.mark.parametrize("given", ["2026-03-01T12:00", "yesterday", "0000-01-01", "9999-99-99"])
def test_beginning_that_is_no_instant_is_2(
    given: str, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = checked(database, capsys, f"--since={given}")
    assert code == 2
    assert "--since: " in text


def test_database_that_is_not_there_is_2_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = checked(tmp_path / "none.db", capsys)
    assert (code, "no such file" in text) == (2, True)
    assert list(tmp_path.iterdir()) == []
    assert NOON.tzinfo is UTC


def test_row_that_cannot_be_read_is_damage_and_no_crash(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(database, "UPDATE schedules SET slots = '[0,1,2]', from_ts = 'noon'")
    code, text = checked(database, capsys)
    assert code == 1
    assert "cannot be read" in text
    assert "fault of the program" not in text
