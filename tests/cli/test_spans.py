"""Times on a command line and in tables."""

from zoneinfo import ZoneInfo

import pytest

from emdc.cli.spans import column, iso, span_of, step_of
from emdc.energy.spans import a_day_before, a_week_before
from emdc.errors import ConfigError

PACIFIC = ZoneInfo("America/Los_Angeles")
NOON = 1772481600.0
"""2026-03-02 12:00 there."""


def test_instants_of_programs_have_the_offset() -> None:
    assert iso(NOON, PACIFIC) == "2026-03-02T12:00:00-08:00"
    assert iso(NOON + 0.25, ZoneInfo("UTC")) == "2026-03-02T20:00:00.250000+00:00"


@pytest.mark.parametrize(
    ("times", "texts"),
    [
        ([NOON, NOON + 60], ["2026-03-02 12:00", "2026-03-02 12:01"]),
        ([NOON, NOON + 1], ["2026-03-02 12:00:00", "2026-03-02 12:00:01"]),
        ([NOON + 0.25], ["2026-03-02 12:00:00.250"]),
        ([NOON + 0.000001], ["2026-03-02 12:00:00.000001"]),
        ([], []),
    ],
)
def test_a_column_has_as_many_digits_as_it_needs(times: list[float], texts: list[str]) -> None:
    assert column(times, PACIFIC) == texts


def test_time_that_comes_twice_says_which_one_it_is() -> None:
    first = 1793520000.0 + 1800  # 2026-11-01 01:30 for the first time
    assert column([first - 3600, first, first + 3600, first + 7200], PACIFIC) == [
        "2026-11-01 00:30",
        "2026-11-01 01:30-07:00",
        "2026-11-01 01:30-08:00",
        "2026-11-01 02:30",
    ]
    half = ZoneInfo("Australia/Lord_Howe")
    assert column([1775313900.0], half) == ["2026-04-05 01:45+11:00"]


def test_span_without_a_start_is_as_long_as_the_command_says() -> None:
    spring = 1773003600.0  # 2026-03-08 14:00, the day that has 23 hours
    ask = {"zone": PACIFIC, "now": spring}
    span = span_of(None, None, **ask, earlier=a_day_before)  # type: ignore[arg-type]
    assert span == (spring - 23 * 3600, spring)
    span = span_of(None, "-1h", **ask, earlier=a_week_before)  # type: ignore[arg-type]
    assert span == (spring - 3600 - 167 * 3600, spring - 3600)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("60", 60), ("30s", 30), ("15min", 900), ("2 m", 120), ("1H", 3600), ("1d", 86_400)],
)
def test_step_is_said_as_people_say_it(text: str, seconds: float) -> None:
    assert step_of(text) == seconds


@pytest.mark.parametrize("text", ["", "-60", "1.5h", "367d", "1w"])
def test_step_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--step: .*, expected whole seconds up to 366 days"):
        step_of(text)
    assert step_of(None) is None
