import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from emdc.collector.latest import Latest, LatestValue, MeterState
from emdc.reading import Gap, MeterProfile, MeterReading, Topic, Value

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROFILE = MeterProfile("m", (Topic("a"), Topic("b"), Topic("c")))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def reading(
    seconds: float, meter: str = "m", why: str = "read_timeout", **values: Value
) -> MeterReading:
    gaps = {name: why for name, value in values.items() if value is None}
    moment = at(seconds)
    return MeterReading(meter, moment, moment, tuple(values), tuple(values.values()), gaps)


def state(*readings: MeterReading) -> MeterState:
    subject = MeterState(PROFILE)
    for one in readings:
        subject.take(one)
    return subject


def test_a_metric_that_was_never_read_has_no_value() -> None:
    assert state().value("a") is None
    assert state(reading(0, b=1)).value("a") is None
    assert state(reading(0, a=None)).value("a") is None


def test_the_newest_value_is_the_last_one_read() -> None:
    subject = state(reading(0, a=1, b=2), reading(1, a=3, b=4))
    assert subject.value("a") == LatestValue(3, at(1), at(1))


def test_a_gap_keeps_the_older_value_and_says_why_there_is_no_newer_one() -> None:
    subject = state(reading(0, a=1, b=2), reading(1, a=None, b=4))
    assert subject.value("a") == LatestValue(1, at(0), at(0), "read_timeout")
    assert subject.value("b") == LatestValue(4, at(1), at(1))
    subject.take(reading(2, why="connection_reset", a=None, b=None))
    assert subject.value("a") == LatestValue(1, at(0), at(0), "connection_reset")
    assert subject.value("b") == LatestValue(4, at(1), at(1), "connection_reset")
    subject.take(reading(3, a=7, b=8))
    assert subject.value("a") == LatestValue(7, at(3), at(3))


def test_values_of_several_plans_are_told_by_their_time() -> None:
    subject = state(reading(0, a=1, b=2, c=3), reading(1, a=4), reading(2, b=None, a=None))
    assert subject.value("a") == LatestValue(4, at(1), at(1), "read_timeout")
    assert subject.value("b") == LatestValue(2, at(0), at(0), "read_timeout")
    assert subject.value("c") == LatestValue(3, at(0), at(0))


def test_a_reading_older_than_the_newest_of_its_plan_changes_nothing() -> None:
    subject = state(reading(5, a=1), reading(3, a=None))
    assert subject.value("a") == LatestValue(1, at(5), at(5))
    assert subject.readings == 1


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), st.integers()), min_size=1),
        max_size=12,
    )
)
def test_the_state_is_what_looking_back_through_all_readings_gives(
    rounds: list[dict[str, Value]],
) -> None:
    readings = [
        reading(index, "m", "read_timeout", **values) for index, values in enumerate(rounds)
    ]
    subject = state(*readings)
    for name in "abc":
        tries = [(index, values[name]) for index, values in enumerate(rounds) if name in values]
        good = [(index, value) for index, value in tries if value is not None]
        if not good:
            assert subject.value(name) is None
            continue
        when, value = good[-1]
        gap = "read_timeout" if tries[-1][1] is None else None
        assert subject.value(name) == LatestValue(value, at(when), at(when), gap)


def test_the_state_counts_successes_failures_and_gaps() -> None:
    subject = state(reading(0, a=1, b=None), reading(1, a=None, b=None), reading(2, a=None, b=None))
    assert (subject.readings, subject.gaps, subject.failures) == (3, 5, 2)
    assert (subject.last_success, subject.last_error) == (at(0), "read_timeout")
    assert subject.last_error_at == at(2)
    subject.take(reading(3, a=1, b=1))
    assert (subject.failures, subject.last_success) == (0, at(3))


def test_that_a_meter_was_not_even_asked_does_not_hide_why() -> None:
    subject = state(reading(0, a=None), reading(1, why="backoff_skipped", a=None))
    assert (subject.last_error, subject.last_error_at) == ("read_timeout", at(1))
    assert state(reading(1, why="backoff_skipped", a=None)).last_error == "backoff_skipped"


def test_a_value_that_the_meter_does_not_have_is_a_gap_and_no_error() -> None:
    subject = state(reading(0, why="not_available", a=1, b=None))
    assert (subject.gaps, subject.last_error, subject.last_error_at) == (1, None, None)
    mixed = {"a": "not_available", "b": "exception:2"}
    subject.take(reading(1, a=None, b=None)._replace(gaps=mixed))
    assert (subject.last_error, subject.last_error_at) == ("exception:2", at(1))
    subject.take(reading(2, why="not_available", a=None, b=None))
    assert (subject.last_error, subject.last_error_at) == ("exception:2", at(1))


def test_meters_that_are_not_configured_are_ignored() -> None:
    async def check() -> None:
        subject = Latest([PROFILE])
        await subject.write([reading(0, "gone", a=1), reading(0, a=2)])
        await subject.write_gaps([Gap("gone", at(0), at(1), "overrun")])
        assert set(subject.meters) == {"m"}
        assert subject.meters["m"].value("a") == LatestValue(2, at(0), at(0))

    asyncio.run(check())


def test_a_range_without_readings_is_the_meters_last_error() -> None:
    async def check() -> None:
        subject = Latest([PROFILE])
        await subject.write([reading(0, a=2)])
        await subject.write_gaps([Gap("m", at(1), at(2), "overrun")])
        found = subject.meters["m"]
        assert (found.last_error, found.last_error_at) == ("overrun", at(1))
        assert found.value("a") == LatestValue(2, at(0), at(0))

    asyncio.run(check())


def test_loaded_readings_are_values_and_not_events() -> None:
    subject = Latest([PROFILE])
    subject.load([reading(0, a=1, b=2), reading(1, a=None, b=3), reading(1, "gone", a=1)])
    found = subject.meters["m"]
    assert found.value("a") == LatestValue(1, at(0), at(0), "read_timeout")
    assert found.value("b") == LatestValue(3, at(1), at(1))
    assert (found.readings, found.gaps, found.failures) == (0, 0, 0)
    assert (found.last_error, found.last_error_at) == (None, None)
    assert found.last_success == at(1)
