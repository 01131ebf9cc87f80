from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.collector.schedule import EPOCH, Missed, Schedule, from_us, to_us

SECOND = 1_000_000
INTERVALS = st.lists(
    st.sampled_from([SECOND // 2, SECOND, 2 * SECOND, 15 * SECOND, 60 * SECOND, 7 * SECOND + 1]),
    min_size=1,
    max_size=3,
    unique=True,
).map(tuple)
NOW = st.integers(1_700_000_000 * SECOND, 1_700_003_600 * SECOND)


def slots(schedule: Schedule, from_: int, to: int) -> list[int]:
    """Every slot with from_ ≤ slot < to, the plain way."""
    found = {
        at
        for interval in schedule.intervals_us
        for at in range(-(-from_ // interval) * interval, to, interval)
    }
    return sorted(found)


@given(INTERVALS, NOW)
def test_the_first_tick_is_the_next_slot_or_now(intervals: tuple[int, ...], now: int) -> None:
    schedule = Schedule(intervals)
    assert schedule.at_or_after(now) == slots(schedule, now, now + 60 * SECOND)[0]
    assert schedule.at_or_after(schedule.at_or_after(now)) == schedule.at_or_after(now)


@given(INTERVALS, NOW)
def test_ticks_follow_one_another_without_leaving_out_a_slot(
    intervals: tuple[int, ...], now: int
) -> None:
    schedule = Schedule(intervals)
    expected = slots(schedule, now, now + 20 * SECOND)
    tick, found = schedule.at_or_after(now), list[int]()
    while tick < now + 20 * SECOND:
        found.append(tick)
        tick = schedule.after(tick)
    assert found == expected


@given(INTERVALS, NOW)
def test_what_is_due_are_the_intervals_that_have_a_slot(
    intervals: tuple[int, ...], now: int
) -> None:
    schedule = Schedule(intervals)
    tick = schedule.at_or_after(now)
    assert schedule.due(tick) == {i for i in intervals if tick / i == tick // i}
    assert schedule.due(tick)


@given(
    INTERVALS,
    NOW,
    st.lists(
        st.tuples(
            st.integers(0, 30 * SECOND),
            st.one_of(st.just(0), st.integers(-3600 * SECOND, 3600 * SECOND)),
        ),
        max_size=20,
    ),
)
def test_whatever_the_clock_does_each_slot_is_used_or_missed_once(
    intervals: tuple[int, ...], now: int, steps: list[tuple[int, int]]
) -> None:
    schedule = Schedule(intervals)
    begin = tick = schedule.at_or_after(now)
    used, missed = [tick], list[int]()
    for passed, stepped in steps:
        now = max(now, tick) + passed + stepped
        tick, lost = schedule.next(tick, now, stepped_us=stepped)
        if lost is not None:
            assert lost.to_us == tick
            missed += slots(schedule, lost.from_us, lost.to_us)
        used.append(tick)
    assert used == sorted(set(used))
    assert sorted(used + missed) == slots(schedule, begin, tick + 1)


@given(INTERVALS, NOW, st.integers(0, 3600 * SECOND))
def test_a_tick_that_is_run_is_less_than_half_an_interval_late(
    intervals: tuple[int, ...], now: int, passed: int
) -> None:
    schedule = Schedule(intervals)
    tick, _ = schedule.next(schedule.at_or_after(now), now + passed)
    assert now + passed - tick <= min(intervals) // 2


def test_a_late_tick_is_run_up_to_half_an_interval() -> None:
    schedule = Schedule((10 * SECOND,))
    assert schedule.next(0, 15 * SECOND) == (10 * SECOND, None)
    lost = Missed(10 * SECOND, 20 * SECOND, "overrun")
    assert schedule.next(0, 15 * SECOND + 1) == (20 * SECOND, lost)


@pytest.mark.parametrize(
    ("stepped_s", "reason"), [(0, "overrun"), (4, "overrun"), (3600, "clock_step")]
)
def test_missed_ticks_say_whether_the_clock_was_set(stepped_s: int, reason: str) -> None:
    _, lost = Schedule((10 * SECOND,)).next(0, 3600 * SECOND, stepped_us=stepped_s * SECOND)
    assert lost is not None
    assert lost.reason == reason


def test_a_clock_that_goes_back_repeats_no_slot() -> None:
    schedule = Schedule((10 * SECOND,))
    tick = 1000 * SECOND
    assert schedule.next(tick, 400 * SECOND, stepped_us=-600 * SECOND) == (1010 * SECOND, None)


def test_an_hour_that_happens_twice_or_never_is_an_hour_like_any_other() -> None:
    zone = ZoneInfo("Europe/Berlin")
    for change in (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 0, tzinfo=UTC)):
        quarter = Schedule((900 * SECOND,))
        tick = quarter.at_or_after(to_us(change.astimezone(zone)))
        for _ in range(12):
            following, lost = quarter.next(tick, tick)
            assert (following - tick, lost) == (900 * SECOND, None)
            tick = following


@given(st.integers(0, 4_000_000_000 * SECOND))
def test_microseconds_and_datetimes_are_the_same_instant(us: int) -> None:
    assert to_us(from_us(us)) == us
    assert from_us(us) - EPOCH == timedelta(microseconds=us)
    assert from_us(us).tzinfo is UTC
