"""The schedule at work: waits for ticks and starts the meters that are due.

Meters with the same intervals share one ticker. Waiting uses the monotonic clock; the wall clock
names the slots, and a step of it is seen by comparing the two.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from emdc.collector.cycle import Collector, gap
from emdc.collector.schedule import Missed, Schedule, from_us, to_us
from emdc.meters.meter import Meter
from emdc.meters.reads import want
from emdc.reading import MeterProfile

log = logging.getLogger(__name__)

SELDOM_US = 60_000_000
"""A metric with a longer interval is read behind the first tick too, beside its slots."""

LONGEST_NAP_S = 5.0
"""The wall clock is looked at again at least this often while waiting for a tick."""


def intervals_us(profile: MeterProfile) -> Mapping[int, frozenset[str]]:
    """Interval in microseconds → the metrics that have it; empty when nothing is scheduled.

    A metric without an interval of its own has the meter's; a meter without one is read only when
    asked, whatever its metrics say.
    """
    if profile.interval_s is None:
        return {}
    groups: defaultdict[int, set[str]] = defaultdict(set)
    for topic in profile.topics:
        seconds = topic.interval_s or profile.interval_s
        groups[round(seconds * 1_000_000)].add(topic.name)
    return {interval: frozenset(names) for interval, names in groups.items()}


class Ticker:
    """Ticks for meters that share their intervals; the first is not before `begin`, UTC."""

    def __init__(
        self,
        schedule: Schedule,
        meters: Iterable[Meter],
        collector: Collector,
        begin: datetime,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self.schedule = schedule
        self.ticks = 0
        self.last_tick: datetime | None = None
        self._meters = [(meter, intervals_us(meter.profile)) for meter in meters]
        self._collector = collector
        self._clock = clock
        self._offset_us = 0
        self._last = to_us(begin) - 1
        self._wanted: dict[tuple[int, frozenset[int]], frozenset[str]] = {}

    @property
    def is_empty(self) -> bool:
        """Every meter was dropped."""
        return not self._meters

    def add(self, meter: Meter, begin: datetime) -> None:
        """Read this one too. Its ticks from `begin` on that were run without it become gaps."""
        groups = intervals_us(meter.profile)
        self._meters.append((meter, groups))
        self._lose_of(
            meter, self.schedule.at_or_after(to_us(begin)), self.schedule.after(self._last)
        )
        self._look(meter, groups, frozenset())

    def replace(self, meter: Meter) -> None:
        """Let this one be read instead of that of its name, which has the same topics."""
        self._meters = [
            (meter if one.name == meter.name else one, groups) for one, groups in self._meters
        ]

    def drop(self, name: str, end: datetime) -> None:
        """Read the meter of this name no more. Its ticks before `end` that were not run yet become
        gaps.
        """
        for meter, _ in self._meters:
            if meter.name == name:
                end_us = self.schedule.at_or_after(to_us(end))
                self._lose_of(meter, self.schedule.after(self._last), end_us)
        self._meters = [(one, groups) for one, groups in self._meters if one.name != name]
        self._wanted.clear()

    async def run(self) -> None:
        """Tick until cancelled, or empty. Goes on after the last tick when it is started again."""
        self._offset_us = self._wall_offset()
        tick = self._next(self._last)
        while not self.is_empty:
            await self._wait(tick)
            resume = self._next(tick - 1)
            if resume == tick:  # the wait was not too long
                self._last = tick
                self._start(tick)
                resume = self.schedule.after(tick)
            tick = resume

    def _next(self, tick: int) -> int:
        """The tick after `tick` that is not too late; those before it are lost."""
        stepped = self._wall_offset() - self._offset_us
        following, missed = self.schedule.next(tick, to_us(self._clock()), stepped_us=stepped)
        if abs(stepped) > 1_000_000:
            log.warning("clock step", extra={"seconds": round(stepped / 1e6, 3)})
        self._offset_us += stepped
        if missed is not None:
            self._lose(missed)
        self._last = following - 1
        return following

    async def _wait(self, tick: int) -> None:
        while (left := (tick - to_us(self._clock())) / 1e6) > 0:
            self._collector.clock_back = left > max(self.schedule.intervals_us) / 1e6 + 1
            await asyncio.sleep(min(left, LONGEST_NAP_S))
        self._collector.clock_back = False

    def _start(self, tick: int) -> None:
        moment = from_us(tick)
        due = self.schedule.due(tick)
        following = self.schedule.after(tick)
        until = asyncio.get_running_loop().time() + (following - to_us(self._clock())) / 1e6
        lost = [
            gap(meter.name, tick, following, "overrun")
            for place, (meter, groups) in enumerate(self._meters)
            if not self._collector.start_tick(
                meter, self._due_metrics(place, groups, due), moment, until
            )
        ]
        for meter, groups in () if self.ticks else self._meters:
            self._look(meter, groups, due)
        self.ticks += 1
        self.last_tick = moment
        self._collector.lose(lost)

    def _look(
        self, meter: Meter, groups: Mapping[int, frozenset[str]], due: frozenset[int]
    ) -> None:
        """Read what comes round seldom: its first slot may be an hour away."""
        later = [us for us in groups if us > SELDOM_US and us not in due]
        if later:
            self._collector.look(meter, want(name for us in later for name in groups[us]))

    def _due_metrics(
        self, place: int, groups: Mapping[int, frozenset[str]], due: frozenset[int]
    ) -> frozenset[str]:
        key = (place, due)
        found = self._wanted.get(key)
        if found is None:
            found = want(name for interval in due for name in groups[interval])
            self._wanted[key] = found
        return found

    def _lose(self, missed: Missed) -> None:
        log.warning(
            "ticks missed",
            extra={"reason": missed.reason, "from": str(from_us(missed.from_us))},
        )
        self._collector.lose(
            [
                gap(meter.name, missed.from_us, missed.to_us, missed.reason)
                for meter, _ in self._meters
            ]
        )

    def _lose_of(self, meter: Meter, first: int, following: int) -> None:
        """Ticks of one meter, before `following`; there may be none."""
        if first < following:
            self._collector.lose([gap(meter.name, first, following, "overrun")])

    def _wall_offset(self) -> int:
        """Wall clock minus monotonic clock, in microseconds."""
        return to_us(self._clock()) - round(asyncio.get_running_loop().time() * 1_000_000)


def tickers(
    meters: Iterable[Meter],
    collector: Collector,
    begin: datetime,
    *,
    clock: Callable[[], datetime],
) -> list[Ticker]:
    """One ticker for each set of intervals among the meters that have a schedule.

    Ticks from `begin` on are owed: those that pass before `run` become gaps.
    """
    groups: defaultdict[tuple[int, ...], list[Meter]] = defaultdict(list)
    for meter in meters:
        intervals = tuple(sorted(intervals_us(meter.profile)))
        if intervals:
            groups[intervals].append(meter)
    return [
        Ticker(Schedule(intervals), members, collector, begin, clock=clock)
        for intervals, members in groups.items()
    ]
