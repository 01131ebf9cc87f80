from dataclasses import replace
from datetime import UTC, datetime

from emdc.storage.intervals.accountant import IntervalsStatus
from emdc.storage.tally import StorageStatus
from emdc.web.intervals_health import interval_families, intervals, intervals_problems

NOW = datetime(2026, 3, 1, 12, 20, tzinfo=UTC)
MADE = IntervalsStatus(datetime(2026, 3, 1, 12, 0, tzinfo=UTC), waiting=3)
FAILING = replace(MADE, last_error="disk full")
WELL = StorageStatus("sqlite:///emdc.db", in_memory=False, ok=True)


def test_what_is_made_is_told() -> None:
    found = intervals(MADE)
    assert found is not None
    assert (found.made_until, found.waiting, found.last_error) == (MADE.made_until, 3, None)
    assert intervals(None) is None


def test_failure_is_a_problem_that_says_since_when() -> None:
    (said,) = intervals_problems(FAILING, WELL, NOW)
    assert said.startswith("quarter hours are not made since 12:00 UTC for 3 meters (disk full)")
    assert not intervals_problems(MADE, WELL, NOW)


def test_while_readings_themselves_wait_nothing_is_said_of_it() -> None:
    assert not intervals_problems(FAILING, replace(WELL, ok=False), NOW)
    assert not intervals_problems(FAILING, replace(WELL, spooled=1), NOW)


def test_figures_for_prometheus() -> None:
    figures = {
        sample.name: sample.value for one in interval_families(MADE) for sample in one.samples
    }
    assert figures == {
        "emdc_intervals_made_until_timestamp_seconds": 1772366400.0,
        "emdc_intervals_waiting_meters": 3,
    }
    assert not list(interval_families(None))
