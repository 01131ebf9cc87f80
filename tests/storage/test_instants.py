from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.storage.instants import first_tick, from_microseconds, from_text, to_text

INSTANTS = st.integers(0, 10**16).map(from_microseconds)


@given(INSTANTS)
def test_instant_is_26_characters_and_comes_back(at: datetime) -> None:
    assert len(to_text(at)) == 26
    assert from_text(to_text(at)) == at


@given(INSTANTS, INSTANTS)
def test_text_sorts_as_time(one: datetime, other: datetime) -> None:
    assert (to_text(one) < to_text(other)) == (one < other)


def test_other_zones_become_utc() -> None:
    at = datetime(2026, 7, 1, 2, 0, tzinfo=timezone(timedelta(hours=2)))
    assert to_text(at) == "2026-07-01 00:00:00.000000"


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        to_text(datetime(2026, 7, 1))  # noqa: DTZ001


@given(INSTANTS, st.sampled_from([0.1, 0.25, 1.0, 7.0, 60.0, 900.0, 86400.0]))
def test_first_tick_is_the_next_multiple(at: datetime, interval_s: float) -> None:
    tick = first_tick(at, interval_s)
    assert timedelta(0) <= tick - at < timedelta(seconds=interval_s)
    assert first_tick(tick, interval_s) == tick
