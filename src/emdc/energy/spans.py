"""Spans of time as users ask for them: where one begins when nobody says, and what a step is.

For commands and HTTP alike; each says in its own words where a fault was.
"""

import re
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from emdc.energy.answers import DAY_S
from emdc.energy.periods import instant

_STEP: Final = re.compile(r"([0-9]{1,9}) ?(s|m|min|h|d|)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": DAY_S}
_LONGEST_STEP_S: Final = 366 * DAY_S


class Span(NamedTuple):
    """start ≤ t < end, seconds since 1970."""

    start: float
    end: float


def a_day_before(end: float, zone: ZoneInfo) -> float:
    """The same time of the day before."""
    return instant("-1d", zone, end)


def a_week_before(end: float, zone: ZoneInfo) -> float:
    """The same time seven days before."""
    return instant("-7d", zone, end)


def midnight_a_week_before(end: float, zone: ZoneInfo) -> float:
    """Where the local day begins that is seven days before the one of `end`."""
    return instant("today", zone, instant("-7d", zone, end))


def step_seconds(text: str) -> float:
    """Seconds of a step, such as `15min`. Raises ValueError with what was expected."""
    found = _STEP.fullmatch(text.lower())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else -1
    if not 0 <= seconds <= _LONGEST_STEP_S:
        raise ValueError(
            "expected whole seconds up to 366 days, such as 60, 30s, 15min, 1h or 1d, or 0 for the"
            " readings themselves"
        )
    return float(seconds)
