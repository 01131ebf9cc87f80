import math
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.energy.answers import CELL_S, Consumption, Per, Quality
from emdc.energy.periods import Period, instant, periods
from emdc.energy.sums import Columns, Part, Stretch, consumption, pieces

MEASURED, RECOVERED, SUSPECT, ESTIMATED = Quality
BEGIN = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
ZONES = [
    ZoneInfo(name)
    for name in (
        *("UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"),
    )
]


def at(cell: float) -> float:
    """So many quarter hours after the beginning."""
    return BEGIN + cell * CELL_S


def columns(
    energies: list[float | None],
    *,
    counts: list[int | None] | None = None,
    dues: list[int | None] | None = None,
    missing: frozenset[int] = frozenset(),
) -> Columns:
    """Quarter hours from BEGIN on, but for the missing ones; 15 readings of each were due."""
    given = zip(
        [at(index) for index in range(len(energies))],
        energies,
        [15] * len(energies) if counts is None else counts,
        [15] * len(energies) if dues is None else dues,
        [None if energy is None else 0 for energy in energies],
        strict=True,
    )
    kept = [row for index, row in enumerate(given) if index not in missing]
    return Columns(*map(list, zip(*kept, strict=True))) if kept else Columns([], [], [], [], [])


def one(cells: Columns, start: float, end: float, **more: float | None) -> Consumption:
    """What was counted from one quarter hour to another."""
    settings = {"now": at(end), "began": BEGIN, **more}
    (found,) = consumption(cells, [(at(start), at(end))], **settings)  # type: ignore[arg-type]
    return found


def test_a_period_has_the_sum_of_its_quarter_hours() -> None:
    cells = columns([0.1, 0.2, 0.3, 5])
    assert one(cells, 0, 2).energy == 0.3
    assert one(cells, 0, 3) == Consumption(at(0), at(3), 0.6, 100.0, MEASURED)
    assert one(cells, 3, 4) == Consumption(at(3), at(4), 5.0, 100.0, MEASURED)


def test_a_large_counter_keeps_its_last_whole_unit() -> None:
    assert one(columns([4_503_599_627_370_497, 2]), 0, 2).energy == 4_503_599_627_370_499


def test_a_cut_quarter_hour_is_shared_by_time() -> None:
    cells = columns([90, 30])
    assert one(cells, 1 / 3, 1.5).energy == 75
    assert one(cells, 0.25, 0.75).energy == 45
    assert one(cells, 0.25, 0.75).completeness == 100


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 3, []),
        (0.5, 3, [(0.5, 1)]),
        (0, 3.25, [(3, 3.25)]),
        (0.5, 3.25, [(0.5, 1), (3, 3.25)]),
        (0.25, 0.5, [(0.25, 0.5)]),
        (0, 0.5, [(0, 0.5)]),
        (0.5, 1, [(0.5, 1)]),
    ],
)
def test_pieces_are_the_quarter_hours_that_a_period_has_in_part(
    start: float, end: float, expected: list[Period]
) -> None:
    assert pieces((at(start), at(end))) == [(at(low), at(high)) for low, high in expected]


def test_what_is_known_of_a_part_counts_in_place_of_its_share() -> None:
    cells, now = columns([90, 30, 60]), at(3)
    parts = {at(0): Part(7.5, SUSPECT), at(2): Part(None, None)}
    two: list[Period] = [(at(0.5), at(1)), (at(1), at(2.5))]
    first, second = consumption(cells, two, now=now, parts=parts)
    assert (first.energy, first.quality, first.completeness) == (7.5, SUSPECT, 100)
    assert (second.energy, second.quality, second.completeness) == (30, MEASURED, 100)
    # Of whole quarter hours they say nothing.
    assert consumption(cells, [(at(0), at(3))], now=now, parts=parts)[0].energy == 180
    (unknown,) = consumption(cells, [(at(2), at(2.5))], now=now, parts=parts)
    assert (unknown.energy, unknown.quality) == (None, None)


def test_what_is_not_known_is_none_and_no_zero() -> None:
    cells = columns([None, 0.0, 7, None])
    assert one(cells, 0, 1) == Consumption(at(0), at(1), None, 100.0, None)
    assert one(cells, 1, 2).energy == 0.0
    assert one(cells, 0, 4).energy == 7
    assert one(cells, -9, -4) == Consumption(at(-9), at(-4), None, None, None)
    assert one(cells, 4, 8, now=at(4)) == Consumption(at(4), at(8), None, None, None)
    assert one(columns([]), 0, 4) == Consumption(at(0), at(4), None, None, None)


def test_no_periods_have_no_answer() -> None:
    assert consumption(columns([1]), [], now=at(1)) == []


def test_the_quality_is_the_worst_of_the_parts() -> None:
    cells = columns([1, 2, None, 4])._replace(qualities=[0, RECOVERED, None, SUSPECT])
    assert [one(cells, 0, end).quality for end in (1, 2, 3, 3.5)] == [
        *(MEASURED, RECOVERED, RECOVERED, SUSPECT)
    ]


def test_completeness_is_what_was_read_of_what_was_due() -> None:
    cells = columns([1, 1, 1, 1], counts=[15, 12, 0, 15], dues=[15, 15, 15, None])
    assert one(cells, 0, 1).completeness == 100
    assert one(cells, 1, 2).completeness == 80
    assert one(cells, 0, 4).completeness == 60
    assert one(cells, 0.5, 1.5).completeness == 90
    assert one(cells, 3, 4).completeness is None


def test_readings_beyond_the_due_make_up_for_no_missing_one() -> None:
    cells = columns([1, 1], counts=[45, None])
    assert one(cells, 0, 2).completeness == 50
    assert one(cells, 0, 1).completeness == 100


def test_a_missing_quarter_hour_was_due_as_the_one_before() -> None:
    cells = columns(
        [1] * 6, dues=[15, 30, 15, 15, 15, 15], counts=[15, 30, 15, 15, 15, 15],
        missing=frozenset({2, 3}),
    )  # fmt: skip
    assert one(cells, 0, 6).completeness == 100 * 75 / 135
    assert one(cells, 2, 3) == Consumption(at(2), at(3), None, 0.0, None)
    assert one(cells, 0, 6).energy == 4


def test_what_is_missing_at_the_ends_was_due_from_the_beginning_to_now() -> None:
    cells = columns([1] * 4, missing=frozenset({0, 3}))
    assert one(cells, 0, 4).completeness == 50
    assert one(cells, 0, 4, began=at(0.5)).completeness == 100 * 2 / 3
    assert one(cells, 0, 4, began=None).completeness == 100 * 2 / 3
    assert one(cells, 0, 4, now=at(3.99)).completeness == 100 * 2 / 3
    assert one(cells, 0, 4, began=None, now=at(3)).completeness == 100
    # Nor does it matter how long ago the meter began, beyond the periods.
    assert one(cells, 0, 4, began=0.0).completeness == 50


def test_what_was_counted_since_is_shared_by_time() -> None:
    since = Stretch(at(2), at(2.5), 8.0, RECOVERED)
    two: list[Period] = [(at(1), at(2.25)), (at(2.25), at(4))]
    first, second = consumption(columns([1, 2]), two, now=at(2.5), since=since)
    assert (first.energy, first.quality, first.completeness) == (6, RECOVERED, 100)
    assert (second.energy, second.quality, second.completeness) == (4, RECOVERED, None)


def test_what_was_counted_at_one_instant_is_in_its_period() -> None:
    since = Stretch(at(1), at(1), 3.0, MEASURED)
    two: list[Period] = [(at(0), at(1)), (at(1), at(2))]
    assert [part.energy for part in consumption(columns([1]), two, now=at(1), since=since)] == [
        *(1, 3)
    ]


ENERGIES = st.lists(st.none() | st.integers(0, 10**9).map(lambda wh: wh / 1000), min_size=1)


@given(
    ENERGIES,
    st.lists(st.floats(-3, 105), min_size=2, max_size=8, unique=True),
    st.sets(st.integers(0, 100)),
)
def test_cutting_a_span_anywhere_changes_no_total(
    energies: list[float | None], cuts: list[float], missing: set[int]
) -> None:
    cells = columns(energies, missing=frozenset(missing))
    edges = [at(cut) for cut in sorted(cuts)]
    parts = consumption(cells, list(pairwise(edges)), now=edges[-1], began=BEGIN)
    (whole,) = consumption(cells, [(edges[0], edges[-1])], now=edges[-1], began=BEGIN)
    known = [part.energy for part in parts if part.energy is not None]
    assert (whole.energy is None) == (not known)
    assert math.fsum(known) == pytest.approx(whole.energy or 0, rel=1e-12, abs=1e-9)
    assert whole.quality == max((p.quality for p in parts if p.quality is not None), default=None)


@given(ENERGIES, st.sampled_from([1, 2, 3, 5]))
def test_missing_quarter_hours_are_as_those_without_a_value(
    energies: list[float | None], every: int
) -> None:
    gone = frozenset(range(1, len(energies), every))
    blank = [None if index in gone else energy for index, energy in enumerate(energies)]
    counts: list[int | None] = [0 if index in gone else 14 for index in range(len(energies))]
    missing = columns(energies, counts=counts, missing=gone)
    halves: list[Period] = [(at(i / 2), at((i + 3) / 2)) for i in range(0, 2 * len(energies), 3)]
    now = at(len(energies))
    assert consumption(missing, halves, now=now, began=BEGIN) == consumption(
        columns(blank, counts=counts), halves, now=now, began=BEGIN
    )


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_year_is_the_sum_of_its_months_days_hours_and_quarters(zone: ZoneInfo) -> None:
    start, end = instant("2026", zone, 0), instant("2027", zone, 0)
    ts = [start + CELL_S * index for index in range(round((end - start) / CELL_S))]
    # Watt hours to the thousandth, with a period that fits no day.
    energies = [((index * 7919) % 10_007) / 1000 for index in range(len(ts))]
    cells = Columns(ts, energies, [14] * len(ts), [15] * len(ts), [0] * len(ts))
    exact = sum((index * 7919) % 10_007 for index in range(len(ts))) / 1000
    pers: tuple[Per, ...] = ("total", "year", "month", "day", "hour", "15min")
    for per in pers:
        parts = consumption(cells, periods(start, end, per, zone), now=end, began=start)
        total = math.fsum(part.energy for part in parts if part.energy is not None)
        assert float(f"{total:.15g}") == exact
        assert {part.completeness for part in parts} == {100 * 14 / 15}


@pytest.mark.parametrize(
    ("zone", "day", "quarters"),
    [
        ("Europe/Paris", "2026-03-29", 92),
        ("America/New_York", "2026-11-01", 100),
        ("Australia/Lord_Howe", "2026-04-05", 98),
    ],
)
def test_a_day_on_which_the_clock_is_set_has_what_its_hours_have(
    zone: str, day: str, quarters: int
) -> None:
    there = ZoneInfo(zone)
    start = instant(day, there, 0)
    ts = [start + CELL_S * index for index in range(-10, quarters + 10)]
    cells = Columns(ts, [1] * len(ts), [1] * len(ts), [1] * len(ts), [0] * len(ts))
    end = start + quarters * CELL_S
    hours = consumption(cells, periods(start, end, "hour", there), now=end)
    (whole,) = consumption(cells, periods(start, end, "day", there), now=end)
    assert whole.energy == quarters == sum(hour.energy or 0 for hour in hours)
