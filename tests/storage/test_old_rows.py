from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emdc.errors import ConfigError, SchemaError
from emdc.storage.database import connected, open_engine
from emdc.storage.old_rows import (
    KEEP,
    OldRows,
    Shift,
    both_ways,
    checked_zone,
    examine,
    need_zone,
    shifts_of,
    told,
)
from tests.storage.old_collector import SCRIPT_SQLITE
from tests.storage.plant import execute


def at(text: str) -> datetime:
    """A time without a zone, as the old collector wrote it."""
    return datetime.fromisoformat(text)


def shift(start: str, end: str, *, twice: bool) -> Shift:
    return Shift(at(start), at(end), twice)


SHIFTS = {
    "Europe/Paris": [
        shift("2024-03-31 02:00", "2024-03-31 03:00", twice=False),
        shift("2024-10-27 02:00", "2024-10-27 03:00", twice=True),
    ],
    "America/New_York": [
        shift("2024-03-10 02:00", "2024-03-10 03:00", twice=False),
        shift("2024-11-03 01:00", "2024-11-03 02:00", twice=True),
    ],
    # Half an hour, and the year begins in summer time.
    "Australia/Lord_Howe": [
        shift("2024-04-07 01:30", "2024-04-07 02:00", twice=True),
        shift("2024-10-06 02:00", "2024-10-06 02:30", twice=False),
    ],
    "UTC": [],
    "Asia/Tokyo": [],
}


@pytest.mark.parametrize(("zone", "shifts"), SHIFTS.items())
def test_hours_that_a_zone_had_twice_or_never_in_a_year(zone: str, shifts: list[Shift]) -> None:
    assert list(shifts_of(zone, at("2024-01-15"), at("2024-12-15"))) == shifts


def test_shift_is_found_at_either_end_of_the_times() -> None:
    inside = at("2024-03-31 02:30")
    assert list(shifts_of("Europe/Paris", inside, inside)) == SHIFTS["Europe/Paris"][:1]


def test_shift_that_is_days_away_is_none_of_these_times() -> None:
    assert list(shifts_of("Europe/Paris", at("2024-04-03"), at("2024-10-24"))) == []


def test_change_of_a_zones_law_is_a_shift() -> None:
    # Caracas went from UTC-4:30 to UTC-4.
    found = list(shifts_of("America/Caracas", at("2016-01-01"), at("2017-01-01")))
    assert found == [shift("2016-05-01 02:30", "2016-05-01 03:00", twice=False)]


def test_local_time_is_given_there_and_in_utc() -> None:
    local = at("2024-07-01 12:00")
    assert both_ways(local, "Europe/Paris") == (local, datetime(2024, 7, 1, 10, tzinfo=UTC))


def test_instant_is_given_there_and_in_utc() -> None:
    instant = datetime(2024, 7, 1, 10, tzinfo=UTC)
    assert both_ways(instant, "Europe/Paris") == (at("2024-07-01 12:00"), instant)


@pytest.mark.parametrize("name", ["UTC", "America/Los_Angeles", KEEP])
def test_known_zone_is_taken(name: str) -> None:
    assert checked_zone(name) == name


@pytest.mark.parametrize("name", ["Mars/Olympus", "PT", "../etc/passwd", "/etc/localtime", "\0"])
def test_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown zone, expected a name of the IANA list"):
        checked_zone(name)


def test_question_names_how_many_from_when_to_when_and_the_flags() -> None:
    rows = OldRows(3, at("2019-11-03 01:30"), at("2020-07-01 12:00"))
    with pytest.raises(ConfigError) as raised:
        need_zone(rows, "")
    for part in (
        "3 old readings from 2019-11-03 01:30:00 to 2020-07-01 12:00:00",
        "--data_timezone=ZONE",
        "-x data_timezone=ZONE",
        "--data_timezone=keep",
        "--dry_run",
    ):
        assert part in str(raised.value)
    assert need_zone(rows, "UTC") == "UTC"


def report(path: Path, zone: str, *times: str) -> list[str]:
    """What is told of rows of SQLite at these times."""
    execute(path, SCRIPT_SQLITE)
    execute(path, "".join(f"INSERT INTO data VALUES ('{ts}', 7, '1');" for ts in times))
    engine = open_engine(f"sqlite:///{path}")
    try:
        with connected(engine) as connection:
            return told(connection, examine(connection), zone)
    finally:
        engine.dispose()


TWICE = {
    "Europe/Paris": ("2024-10-27 02:00:00.000000", "2024-10-27 02:59:59.999999"),
    "America/New_York": ("2024-11-03 01:00:00.000000", "2024-11-03 01:59:59.999999"),
    "Australia/Lord_Howe": ("2024-04-07 01:30:00.000000", "2024-04-07 01:59:59.999999"),
}
NEVER = {
    "Europe/Paris": ("2024-03-31 02:00:00.000000", "2024-03-31 02:59:59.999999"),
    "America/New_York": ("2024-03-10 02:00:00.000000", "2024-03-10 02:59:59.999999"),
    "Australia/Lord_Howe": ("2024-10-06 02:00:00.000000", "2024-10-06 02:29:59.999999"),
}


def beside(first: str, last: str) -> tuple[str, str]:
    """The last microsecond before a range, and the first after it."""
    step = timedelta(microseconds=1)
    before, after = at(first) - step, at(last) + step
    return before.isoformat(" ", "microseconds"), after.isoformat(" ", "microseconds")


@pytest.mark.parametrize(("zone", "times"), TWICE.items())
def test_rows_in_a_repeated_hour_are_counted(path: Path, zone: str, times: tuple[str, str]) -> None:
    lines = report(path, zone, *times, *beside(*times))
    assert lines[0] == f"4 old readings, their clock in {zone}:"
    assert lines[3:] == [
        "  2 lie in an hour that the clock had twice: they are taken for the first of the two"
    ]


@pytest.mark.parametrize(("zone", "times"), NEVER.items())
def test_rows_in_a_skipped_hour_raise_the_question_whether_the_zone_is_right(
    path: Path, zone: str, times: tuple[str, str]
) -> None:
    lines = report(path, zone, *times, *beside(*times))
    assert lines[3:] == [f"  2 lie in an hour that {zone} skipped: is it the right zone?"]


def test_rows_of_several_years_are_counted_together(path: Path) -> None:
    hours = [f"{day} 02:30:00.000000" for day in ("2022-10-30", "2023-10-29", "2024-10-27")]
    assert "  3 lie in an hour" in report(path, "Europe/Paris", *hours)[3]


def test_first_and_last_time_are_told_both_ways(path: Path) -> None:
    lines = report(path, "Europe/Paris", "2024-07-01 12:00:00.000000", "2024-12-01 12:00:00.5")
    assert lines == [
        "2 old readings, their clock in Europe/Paris:",
        "  first  2024-07-01 12:00:00 there  2024-07-01 10:00:00 UTC",
        "  last   2024-12-01 12:00:00 there  2024-12-01 11:00:00 UTC",
    ]


def test_zone_that_is_left_open_is_told(path: Path) -> None:
    (line,) = report(path, KEEP, "2024-10-27 02:30:00.000000")
    assert line.startswith("1 old readings, from 2024-10-27 02:30:00 to")
    assert line.endswith("their zone left open")


@pytest.mark.parametrize("text", ["yesterday", "", "9999-12-31 23:59:59", "0001-01-01 00:00:00"])
def test_time_that_is_none_is_named(path: Path, text: str) -> None:
    with pytest.raises(SchemaError, match=r"data\.ts: .*, expected a time such as .* delete it"):
        report(path, "UTC", text)
