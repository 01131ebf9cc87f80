"""When the next tick is, and which ticks were missed. Pure: the time comes in as an argument.

Ticks are slots of the wall clock: whole multiples of an interval since 1970, in microseconds UTC.
A meter may have several intervals; what is due in one tick is read together.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from emdc.reading import GapReason

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The UTC datetime of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=us)


@dataclass(frozen=True, slots=True)
class Missed:
    """Ticks that passed unused: from_us ≤ tick < to_us."""

    from_us: int
    to_us: int
    reason: GapReason


@dataclass(frozen=True, slots=True)
class Schedule:
    """The ticks of one or more intervals, in whole microseconds."""

    intervals_us: tuple[int, ...]

    def at_or_after(self, now_us: int) -> int:
        """The first tick that is not before `now_us`."""
        return min(-(-now_us // interval) * interval for interval in self.intervals_us)

    def after(self, tick_us: int) -> int:
        """The tick that follows `tick_us`."""
        return min((tick_us // interval + 1) * interval for interval in self.intervals_us)

    def due(self, tick_us: int) -> frozenset[int]:
        """The intervals that have a slot at this tick."""
        return frozenset(i for i in self.intervals_us if tick_us % i == 0)

    def next(self, tick_us: int, now_us: int, *, stepped_us: int = 0) -> tuple[int, Missed | None]:
        """The tick to run after `tick_us`, and the ticks in between that are lost.

        `now_us` is the wall clock, `stepped_us` by how much it moved beyond the time that passed.
        A tick that is late by less than half of its interval is still run. Never a tick twice:
        when the clock went back, the next one comes after all that were used.
        """
        following = self.after(tick_us)
        tolerated = min(self.intervals_us) // 2
        resume = max(following, self.at_or_after(now_us - tolerated))
        if resume == following:
            return following, None
        reason = "clock_step" if stepped_us > tolerated else "overrun"
        return resume, Missed(following, resume, reason)
