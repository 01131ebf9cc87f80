import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emdc.energy.answers import Per
from emdc.energy.periods import END_OF_TIME, MOST_PERIODS, instant, nice_step, periods

UTC_ZONE = ZoneInfo("UTC")
PARIS = ZoneInfo("Europe/Paris")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
ZONES = st.sampled_from([UTC_ZONE, PARIS, NEW_YORK, LORD_HOWE, KATHMANDU])
PERS: tuple[Per, ...] = get_args(Per)
NOW = datetime(2026, 7, 15, 10, 20, 30, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86_400.0
LONGEST = {"15min": 30 * DAY, "hour": 400 * DAY}
"""Of a span in the property tests, so that they stay quick."""


def at(text: str, zone: ZoneInfo = UTC_ZONE) -> float:
    return instant(text, zone, NOW)


def clock(seconds: float, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(seconds, zone).strftime("%Y-%m-%d %H:%M")


def hours(start: str, end: str, per: Per, zone: ZoneInfo) -> list[float]:
    """How long the periods are, in hours."""
    return [(b - a) / HOUR for a, b in periods(at(start, zone), at(end, zone), per, zone)]


@given(st.floats(0, 4e9), st.floats(0.001, 3 * 366 * DAY), st.sampled_from(PERS), ZONES)
def test_periods_tile_the_span_without_hole_or_overlap(
    start: float, length: float, per: Per, zone: ZoneInfo
) -> None:
    end = start + min(length, LONGEST.get(per, math.inf))
    found = periods(start, end, per, zone)
    assert (found[0][0], found[-1][1]) == (start, end)
    assert all(begin < stop for begin, stop in found)
    assert all(first[1] == second[0] for first, second in pairwise(found))


@given(st.integers(0, 4_000_000_000), st.integers(1, 800 * 86_400), ZONES)
@example(1_774_738_800, 90_000, PARIS)
@example(1_775_300_000, 200_000, LORD_HOWE)
def test_a_period_begins_where_the_clock_shows_that_it_does(
    start: int, length: int, zone: ZoneInfo
) -> None:
    expected: dict[Per, tuple[str, str]] = {
        "day": ("%H:%M:%S", "00:00:00"),
        "week": ("%u %H:%M:%S", "1 00:00:00"),
        "month": ("%d %H:%M:%S", "01 00:00:00"),
        "year": ("%j %H:%M:%S", "001 00:00:00"),
    }
    for per, (form, shown) in expected.items():
        for begin, _ in periods(start, start + length, per, zone)[1:]:
            assert datetime.fromtimestamp(begin, zone).strftime(form) == shown


@given(st.integers(0, 4_000_000_000), st.integers(1, 800 * 86_400), ZONES)
def test_no_beginning_of_a_period_is_left_out(start: int, length: int, zone: ZoneInfo) -> None:
    first = datetime.fromtimestamp(start, zone)
    last = datetime.fromtimestamp(start + length - 1e-3, zone)
    found = {per: len(periods(start, start + length, per, zone)) for per in PERS[2:6]}
    days = (last.date() - first.date()).days
    assert found["day"] == days + 1
    assert found["week"] == (first.weekday() + days) // 7 + 1
    assert found["month"] == 12 * (last.year - first.year) + last.month - first.month + 1
    assert found["year"] == last.year - first.year + 1


@given(st.integers(0, 4_000_000_000), st.integers(1, 60 * 86_400), ZONES)
@example(1_775_300_000, 200_000, LORD_HOWE)
def test_an_hour_ends_at_a_full_hour_of_the_clock_or_where_it_is_set(
    start: int, length: int, zone: ZoneInfo
) -> None:
    for begin, end in periods(start, start + length, "hour", zone):
        first, last = (datetime.fromtimestamp(t, zone) for t in (begin, end - 1))
        assert (first.hour, first.utcoffset()) == (last.hour, last.utcoffset())
        if end < start + length:
            after = datetime.fromtimestamp(end, zone)
            assert (after.minute, after.second) == (0, 0) or after.utcoffset() != last.utcoffset()


@pytest.mark.parametrize(
    ("zone", "day", "long"),
    [
        (PARIS, "2026-03-29", 23),
        (PARIS, "2026-10-25", 25),
        (NEW_YORK, "2026-03-08", 23),
        (NEW_YORK, "2026-11-01", 25),
        (LORD_HOWE, "2026-10-04", 23.5),
        (LORD_HOWE, "2026-04-05", 24.5),
        (KATHMANDU, "2026-03-29", 24),
        (UTC_ZONE, "2026-03-29", 24),
    ],
)
def test_a_day_is_as_long_as_the_clock_makes_it(zone: ZoneInfo, day: str, long: float) -> None:
    following = str(datetime.fromisoformat(day).date() + timedelta(days=1))
    assert hours(day, following, "day", zone) == [long]
    assert sum(hours(day, following, "hour", zone)) == long
    assert hours(day, following, "15min", zone) == [0.25] * int(4 * long)


@pytest.mark.parametrize(
    ("zone", "monday", "long"),
    [
        (PARIS, "2026-03-23", 7 * 24 - 1),
        (PARIS, "2026-10-19", 7 * 24 + 1),
        (NEW_YORK, "2026-10-26", 7 * 24 + 1),
        (LORD_HOWE, "2026-09-28", 7 * 24 - 0.5),
        (UTC_ZONE, "2026-03-23", 7 * 24),
    ],
)
def test_a_week_is_as_long_as_the_clock_makes_it(zone: ZoneInfo, monday: str, long: float) -> None:
    following = str(datetime.fromisoformat(monday).date() + timedelta(days=7))
    assert hours(monday, following, "week", zone) == [long]
    assert sum(hours(monday, following, "hour", zone)) == long


def test_weeks_begin_on_monday_whatever_the_year() -> None:
    span = (at("2025-12-24", PARIS), at("2026-01-07", PARIS))
    assert [clock(begin, PARIS) for begin, _ in periods(*span, "week", PARIS)] == [
        *("2025-12-24 00:00", "2025-12-29 00:00", "2026-01-05 00:00")
    ]
    # As ISO 8601 counts them, the first week of 2026 begins in 2025.
    assert clock(at("2026-W01", PARIS), PARIS) == "2025-12-29 00:00"


def test_the_hour_that_paris_has_twice_is_two_hours() -> None:
    found = periods(at("2026-10-25", PARIS), at("2026-10-26", PARIS), "hour", PARIS)
    assert [clock(begin, PARIS)[-5:] for begin, _ in found[1:5]] == [
        *("01:00", "02:00", "02:00", "03:00")
    ]


def test_the_hour_that_new_york_skips_is_none() -> None:
    found = periods(at("2026-03-08", NEW_YORK), at("2026-03-09", NEW_YORK), "hour", NEW_YORK)
    assert [clock(begin, NEW_YORK)[-5:] for begin, _ in found[:4]] == [
        *("00:00", "01:00", "03:00", "04:00")
    ]


def test_a_span_that_ends_where_the_clock_is_set_ends_there() -> None:
    start, end = at("2026-03-28T23:00Z"), at("2026-03-29T01:00Z")
    assert periods(start, end, "hour", PARIS) == [(start, start + HOUR), (start + HOUR, end)]
    assert periods(end, end + HOUR, "hour", PARIS) == [(end, end + HOUR)]


def test_lord_howe_sets_its_clock_by_half_an_hour() -> None:
    assert hours("2026-04-05", "2026-04-06", "hour", LORD_HOWE) == [1, 1, 0.5, *[1] * 22]
    assert hours("2026-10-04", "2026-10-05", "hour", LORD_HOWE) == [1, 1, 0.5, *[1] * 21]


def test_days_of_kathmandu_begin_a_quarter_past_of_utc() -> None:
    days = periods(at("2026-01-01", KATHMANDU), at("2026-01-03", KATHMANDU), "day", KATHMANDU)
    assert [clock(begin, UTC_ZONE) for begin, _ in days] == ["2025-12-31 18:15", "2026-01-01 18:15"]


@pytest.mark.parametrize("zone", [UTC_ZONE, PARIS, NEW_YORK, LORD_HOWE, KATHMANDU])
def test_a_year_ends_with_its_last_day(zone: ZoneInfo) -> None:
    span = (at("2023-12-31T23:00", zone), at("2025-01-01T01:00", zone))
    assert [clock(end, zone) for _, end in periods(*span, "year", zone)] == [
        *("2024-01-01 00:00", "2025-01-01 00:00", "2025-01-01 01:00")
    ]
    assert hours("2024", "2025", "year", zone) == [366 * 24]
    assert len(hours("2024", "2025", "month", zone)) == 12
    assert len(hours("2024", "2025", "day", zone)) == 366
    assert len(hours("2024", "2025", "15min", zone)) == 366 * 96


def test_a_midnight_that_is_skipped_is_where_the_clock_was_set() -> None:
    zone = ZoneInfo("America/Sao_Paulo")
    first, second = periods(at("2018-11-03", zone), at("2018-11-05", zone), "day", zone)
    assert clock(second[0], zone) == "2018-11-04 01:00"
    assert (first[1] - first[0], second[1] - second[0]) == (24 * HOUR, 23 * HOUR)
    assert at("2018-11-04", zone) == second[0]


def test_a_midnight_that_came_twice_is_the_first() -> None:
    havana = ZoneInfo("America/Havana")
    assert hours("2026-11-01", "2026-11-02", "day", havana) == [25]
    # At 00:01 the clock was set back to 23:01 of the day before.
    st_johns = ZoneInfo("America/St_Johns")
    assert hours("2010-11-06", "2010-11-08", "day", st_johns) == [24, 25]
    between = at("2010-11-07T02:45Z")
    assert clock(between, st_johns) == "2010-11-06 23:15"
    assert len(periods(between, at("2010-11-08", st_johns), "day", st_johns)) == 1


def test_a_day_that_samoa_left_out_is_none() -> None:
    zone = ZoneInfo("Pacific/Apia")
    days = periods(at("2011-12-29", zone), at("2012-01-01", zone), "day", zone)
    assert [clock(begin, zone)[:10] for begin, _ in days] == ["2011-12-29", "2011-12-31"]
    assert [end - begin for begin, end in days] == [DAY, DAY]


def test_a_span_that_holds_nothing_has_no_periods() -> None:
    assert periods(5.0, 5.0, "day", PARIS) == periods(6.0, 5.0, "total", PARIS) == []


def test_the_whole_is_one_period() -> None:
    assert periods(0.25, 4e9, "total", LORD_HOWE) == [(0.25, 4e9)]


def test_a_microsecond_before_a_quarter_is_a_period() -> None:
    assert periods(899.999999, 900.000001, "15min", PARIS) == [
        *((899.999999, 900.0), (900.0, 900.000001))
    ]


def test_too_many_periods_are_refused() -> None:
    periods(0.0, MOST_PERIODS * 900.0, "15min", PARIS)
    with pytest.raises(ValueError, match="100001 periods of one 15min, expected at most 100000"):
        periods(0.0, (MOST_PERIODS + 1) * 900.0, "15min", PARIS)


@pytest.mark.parametrize("span", [(-1.0, 5.0), (0.0, END_OF_TIME + 1)])
def test_a_span_outside_the_calendar_is_refused(span: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected 1970 to 9997"):
        periods(*span, "year", PARIS)


@pytest.mark.parametrize("per", PERS)
@pytest.mark.parametrize("zone", [PARIS, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Etc/GMT+12")])
def test_both_ends_of_the_calendar_have_periods(per: Per, zone: ZoneInfo) -> None:
    assert periods(0.0, 1000.0, per, zone)[-1][1] == 1000.0
    assert periods(END_OF_TIME - 1000, END_OF_TIME, per, zone)[-1][1] == END_OF_TIME


@pytest.mark.parametrize(
    ("said", "utc"),
    [
        ("now", "2026-07-15 10:20"),
        ("today", "2026-07-14 22:00"),
        (" Yesterday ", "2026-07-13 22:00"),
        ("-12h", "2026-07-14 22:20"),
        ("-90m", "2026-07-15 08:50"),
        ("-90min", "2026-07-15 08:50"),
        ("-30s", "2026-07-15 10:20"),
        ("-7d", "2026-07-08 10:20"),
        ("-2w", "2026-07-01 10:20"),
        # The clock has been set meanwhile: the same time of day.
        ("-180d", "2026-01-16 11:20"),
        ("2026-03-01", "2026-02-28 23:00"),
        ("20260301", "2026-02-28 23:00"),
        ("2026-03", "2026-02-28 23:00"),
        ("2026", "2025-12-31 23:00"),
        ("2026-03-01T12:00", "2026-03-01 11:00"),
        ("2026-03-01 12:00:00", "2026-03-01 11:00"),
        ("2026-03-01T12:00:00Z", "2026-03-01 12:00"),
        ("2026-03-01T12:00:00-08:00", "2026-03-01 20:00"),
        ("2026-03-01T12:00:00+08:00", "2026-03-01 04:00"),
        # The + of an address, which HTTP takes for a blank.
        ("2026-03-01T12:00:00 08:00", "2026-03-01 04:00"),
        ("2026-03-01 12:00 08:00", "2026-03-01 04:00"),
        # Came twice, and never.
        ("2026-10-25T02:30", "2026-10-25 00:30"),
        ("2026-03-29T02:30", "2026-03-29 01:30"),
    ],
)
def test_a_time_as_people_say_it(said: str, utc: str) -> None:
    assert clock(instant(said, PARIS, NOW), UTC_ZONE) == utc


def test_an_instant_is_exact_to_the_microsecond() -> None:
    assert at("2026-03-01T12:00:00.000001Z") - at("2026-03-01T12:00:00Z") == pytest.approx(
        1e-6, abs=2.5e-7
    )
    assert at("-0d") == at("now") == NOW


@pytest.mark.parametrize(
    "said",
    [
        *("", "tomorrow", "7d", "-7", "-7y", "--7d", "2026-13", "2026-02-29", "2026-3-1", "12:00"),
        *(
            "2026-03-01T25:00",
            "1767225600",
            "\u0662026-03-01",
            "-\u0667d",
            "2026-03-01T12:00 CET",
            "\0",
        ),
        *("-999999999d", "0000", "2026-03-01T", "2026-01-01T00:00:00+99:00", "-1d\n-1d"),
    ],
)
def test_what_is_no_time_is_refused_with_examples(said: str) -> None:
    with pytest.raises(ValueError, match=r"expected such as 2026-03-01, .*-7d or -12h") as error:
        instant(said, PARIS, NOW)
    assert str(error.value).startswith(repr(said))


@pytest.mark.parametrize(
    "said", ["-1M", "-1y", "-1month", "-1 month", "-7", "-7D", "-12H", "-1.5h", "-1MIN"]
)
def test_so_long_ago_in_another_unit_is_refused_with_the_units(said: str) -> None:
    with pytest.raises(ValueError, match=r"the units s, min, h, d and w, .* give a date$") as error:
        instant(said, PARIS, NOW)
    assert str(error.value).startswith(f"{said!r}, expected such as 2026-03-01, ")


@pytest.mark.parametrize(
    ("said", "never"),
    [
        *[("2026-02-30", True), ("20260230", True), ("2026-02-29T12:00", True)],
        *[("2026-04-31 12:00:00Z", True), ("1900-02-29", True)],
        *[("2024-02-29T25:00", False), ("2026-01-31T25:00", False), ("2026-13-31", False)],
        *[("2026-01-32", False), ("0000-01-31", False), ("-1M", False)],
    ],
)
def test_a_day_that_its_month_does_not_have_is_said(said: str, *, never: bool) -> None:
    with pytest.raises(ValueError, match="expected such as") as error:
        instant(said, PARIS, NOW)
    assert str(error.value).endswith("; there is no such day") == never


@pytest.mark.parametrize(
    "said", ["1969-12-31", "0001-01-01", "9999-12-31T23:59:59-12:00", "-99999d"]
)
def test_a_time_outside_the_calendar_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="expected a time from 1970 to 9997"):
        instant(said, UTC_ZONE, NOW)


def test_a_long_text_is_shown_cut() -> None:
    with pytest.raises(ValueError, match=r"^'x{59}…', expected"):
        instant("x" * 10_000, PARIS, NOW)


@given(st.text(max_size=30))
def test_no_text_makes_another_error(text: str) -> None:
    try:
        assert 0 <= instant(text, LORD_HOWE, NOW) < END_OF_TIME
    except ValueError as error:
        assert "expected" in str(error)  # noqa: PT017 (most texts raise it)


@pytest.mark.parametrize(
    ("span", "points", "least", "step"),
    [
        (HOUR, 1000, 1, 5),
        (DAY, 1000, 1, 120),
        (DAY, 1440, 60, 60),
        (30 * DAY, 1000, 900, HOUR),
        (366 * DAY, 1000, 900, 12 * HOUR),
        (366 * DAY, 366, 1, DAY),
        (10 * 365 * DAY, 1000, 900, 5 * DAY),
        (10, 1000, 1, 1),
        (10, 1000, 45, 60),
        (0, 1, 1, 1),
    ],
)
def test_a_step_is_round_and_as_short_as_it_may(
    span: float, points: int, least: float, step: float
) -> None:
    assert nice_step(span, points, least) == step


def test_a_step_that_the_span_only_touches_counts() -> None:
    assert nice_step(1000, 1000) == 1
    assert nice_step(1000, 1000, start=0.5) == 2


@given(
    st.floats(0, 4e9), st.floats(0, 3e9), st.integers(1, 5000), st.sampled_from([1.0, 30.0, 900.0])
)
def test_steps_are_at_most_as_many_as_points(
    start: float, span: float, points: int, least: float
) -> None:
    step = nice_step(span, points, least, start=start)
    assert step % least == 0
    assert math.ceil((start + span) / step) - math.floor(start / step) <= points


def test_no_points_are_refused() -> None:
    with pytest.raises(ValueError, match="0 points, expected at least 1"):
        nice_step(10, 0)
