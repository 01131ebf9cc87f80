"""What questions about the past are answered with, for HTTP, commands and the page alike.

Instants are seconds since 1970 UTC as float, exact to the microsecond in this century.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Literal, NamedTuple, TypeAlias

CELL_S: Final = 900
"""Seconds of one interval. Every zone's days begin on a multiple of it."""
DAY_S: Final = 86_400
"""Seconds of a day in UTC."""
DAY_CELLS: Final = DAY_S // CELL_S
"""Intervals of one."""

Source: TypeAlias = Literal["readings", "details", "intervals"]
"""Where the points of a series come from: readings as stored, half minutes, quarter hours."""

Per: TypeAlias = Literal["15min", "hour", "day", "week", "month", "year", "total"]
"""How long the periods of an energy answer are; from `hour` on in the meter's time zone."""


POWERS: Final = {"W": "Wh", "kW": "kWh", "MW": "MWh"}
"""Units of power, and what an hour of them is."""


class Quality(IntEnum):
    """How far a consumption is to be trusted; the greater, the less."""

    MEASURED = 0
    """The counter was read at both ends."""
    RECOVERED = 1
    """Its share of what the counter rose over an outage whose ends are known, by time."""
    SUSPECT = 2
    """The counter leapt in it: reset, rolled over, swapped, or rose faster than it can."""
    ESTIMATED = 3
    """No counter: mean power by time."""


class TopicFacts(NamedTuple):
    """One topic as answers name it."""

    name: str
    unit: str
    kind: str
    zone: str
    """IANA name of the meter's time zone."""
    interval_s: float | None
    """Seconds between its readings now; None: read only when asked."""


class Bucket(NamedTuple):
    """What one topic was from `start` on, for one step of a series."""

    start: float
    count: int  # type: ignore[assignment] # tuple has a method of that name, which nobody needs here
    minimum: float
    maximum: float
    mean: float
    first: float
    last: float


class Series(NamedTuple):
    """A topic over a span. A step without a value has no bucket: a line must break there."""

    topic: TopicFacts
    start: float
    end: float
    step_s: float
    """Seconds of one bucket; 0: each bucket is one reading."""
    source: Source
    buckets: Sequence[Bucket]
    next_start: float | None
    """Where the next page begins; None: this was all."""


class Consumption(NamedTuple):
    """What a counter counted in one period: start ≤ t < end."""

    start: float
    end: float
    energy: float | None
    """In the topic's unit; None: nothing is known."""
    completeness: float | None
    """Per cent of the readings that were due; None: nothing was due on a schedule."""
    quality: Quality | None
    """The worst of its parts; None when the energy is."""


class EnergyAnswer(NamedTuple):
    """Consumption by period, in order of time."""

    topic: TopicFacts
    per: Per
    periods: Sequence[Consumption]


class GapRange(NamedTuple):
    """Ticks of one topic or meter without a value, one after the other, for one reason."""

    meter: str
    metric: str | None
    """None: all metrics of the meter."""
    start: float
    end: float
    """The first tick after it."""
    ticks: int | None
    reason: str


class EpochRow(NamedTuple):
    """A place where a counter began anew."""

    topic: str
    at: float
    kind: str
    """`reset`, `rollover`, `swap`, `ratio`, `jump` or `return`."""
    before: float | None
    """The last register value before it, in the topic's unit."""
    after: float | None
    """The first one after it."""
    source: str
    """`found` by the program, or `user`."""
    note: str


def cell_of(at: float) -> float:
    """The interval that an instant lies in."""
    return at // CELL_S * CELL_S


def day_of(at: float) -> float:
    """The UTC day that an instant lies in."""
    return at // DAY_S * DAY_S
