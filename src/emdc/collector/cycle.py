"""Collection cycles over all meters: on schedule, and when asked.

Every meter that is due is read at the same time as the others, and its reading goes to the sinks
as soon as it is there, so that a mute meter delays nobody. The schedule does not wait for the
sinks; a cycle that was asked for does.
Rules to keep: a due tick always ends as one reading or one gap, and no fault of one meter, of a
sink or of this program ends the polling of a meter.
"""

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from emdc.collector.latest import Latest
from emdc.collector.schedule import from_us
from emdc.collector.sinks import Sink
from emdc.errors import BusyError, StorageError
from emdc.meters import explain
from emdc.meters.meter import Meter
from emdc.meters.poll import Poll
from emdc.meters.reads import Wanted, want
from emdc.reading import Gap, GapReason, MeterReading

log = logging.getLogger(__name__)

RUN_AHEAD: Final = 8
"""Cycles of one call that may wait for the database; those that wait share a commit."""
PATIENCE_S: Final = 10.0
"""How long who asks for a reading waits for a database that takes nothing."""


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What one cycle over all meters gave."""

    started: datetime
    duration_s: float
    meters: int
    failed: tuple[str, ...]
    """Meters that did not answer."""
    values: int
    gaps: Mapping[GapReason, int]
    """Missing values by reason."""


class Collector:
    """Reads the meters; the web asks it for cycles and single readings."""

    clock_back = False
    """The wall clock was set back: nothing is read until it has passed the last tick."""

    def __init__(
        self,
        meters: Sequence[Meter],
        sink: Sink,
        latest: Latest,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self.latest = latest
        self.meters = {meter.name: meter for meter in meters}
        self._sink = sink
        self._clock = clock
        self._all = {meter.name: _topics(meter) for meter in meters}
        self._polling: dict[str, datetime] = {}
        """Meters that are being read on schedule → the tick."""
        self._held: defaultdict[str, list[Gap]] = defaultdict(list)
        """Gaps of later ticks of a meter that is being read; they wait for its reading."""
        self._idle: asyncio.Event | None = None
        """Set by the last reading under way; there is one while stopping."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._outbox: list[MeterReading] = []
        self._lost: list[Gap] = []
        self._turn = asyncio.Lock()
        self._callers = 0
        self._reading: dict[tuple[str, str], asyncio.Task[MeterReading]] = {}

    def taught(self, meter: str) -> tuple[list[str], list[str]]:
        """Metrics that the meter refuses, and sentences about the reads that it did not answer."""
        if meter not in self.meters:  # it has not said yet what it holds
            return [], []
        known, book = self.meters[meter].lessons, self.meters[meter].register_map
        return explain.refused_names(known, book), explain.taught(known, book)

    def join(self, meter: Meter) -> None:
        """Read this meter too, from now on; instead of one of the same name if there is one."""
        self.meters[meter.name] = meter
        self._all[meter.name] = _topics(meter)
        self.latest.join(meter.profile)

    # On schedule

    def start_tick(
        self, meter: Meter, wanted: frozenset[str], tick: datetime, until: float
    ) -> bool:
        """Start reading what is due of one meter in this tick.

        False when its last tick is not finished: the caller says `lose` of this one.
        `until` is the loop time after which no retry starts.
        """
        if meter.name in self._polling:
            return False
        self._polling[meter.name] = tick
        try:
            meter.start(Poll(wanted, self._take, tick, scheduled=True, until=until))
        except BaseException:
            del self._polling[meter.name]
            raise
        return True

    def look(self, meter: Meter, wanted: Wanted) -> None:
        """Read these metrics once, beside the schedule; kept only when the meter answers."""

        def take(reading: MeterReading) -> None:
            if reading.answered:
                self._hand_over(reading, gaps=())

        meter.start(Poll(wanted, take, self._clock(), scheduled=False))

    def lose(self, gaps: Sequence[Gap]) -> None:
        """Record ticks that no reading will come for.

        Those of a meter that is still being read are stored after its reading: whatever ends this
        program in between, what is stored of a meter has no hole in front of its end.
        """
        for gap in gaps:
            if gap.meter in self._polling:
                self._held[gap.meter].append(gap)
            else:
                self._hand_over(gaps=[gap])

    async def stop(self, *, within_s: float = 2.0) -> None:
        """Let readings that are under way end, for `within_s` at most, and hand over the last."""
        if self._polling:
            self._idle = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), within_s)
        for meter, tick in list(self._polling.items()):
            del self._polling[meter]
            stopped = Gap(meter, tick, tick + timedelta(microseconds=1), "daemon_stopped")
            self.lose([stopped, *self._held.pop(meter, ())])
        await self._flush()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, reading: MeterReading) -> None:
        if self._polling.pop(reading.meter, None) is None:
            return  # given up by `stop`
        if self._idle is not None and not self._polling:
            self._idle.set()
        self._hand_over(reading, gaps=self._held.pop(reading.meter, ()))

    def _hand_over(self, *readings: MeterReading, gaps: Sequence[Gap]) -> None:
        if not (self._outbox or self._lost):
            # What ends in one turn of the loop is handed over together.
            asyncio.get_running_loop().call_soon(self._send)
        self._outbox += readings
        self._lost += gaps

    def _send(self) -> None:
        self._keep(asyncio.get_running_loop().create_task(self._flush()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush(self) -> None:
        readings, self._outbox = self._outbox, []
        gaps, self._lost = self._lost, []
        if readings:
            await _kept(self._sink.write(readings), "readings lost", len(readings))
        if gaps:
            await _kept(self._sink.write_gaps(gaps), "gaps not recorded", len(gaps))

    # When asked

    async def collect(self, iterations: int, wait_s: int) -> list[CycleReport]:
        """Run `iterations` cycles with `wait_s` seconds between them; all are stored at the end.

        A cycle is stored while the next one is read, in order. One further call
        waits and then runs its own. Raises BusyError for a third, StorageError when a reading
        could not be stored.
        """
        if self._callers == 2:
            raise BusyError("a collection is running and another one waits")
        self._callers += 1
        try:
            async with self._turn:
                return await self._cycles(iterations, wait_s)
        finally:
            self._callers -= 1

    async def read_now(self, meter: str, metric: str) -> MeterReading:
        """Read one metric of one meter now and store it as a manual reading.

        Callers that ask for the same metric while it is being read share one reading.
        """
        key = (meter, metric)
        task = self._reading.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read_and_store(meter, metric))
            self._reading[key] = task
            task.add_done_callback(lambda done: self._read(key, done))
        return await asyncio.shield(task)

    def _read(self, key: tuple[str, str], task: asyncio.Task[MeterReading]) -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()  # all who asked may have gone

    async def _read_and_store(self, meter: str, metric: str) -> MeterReading:
        reading = await self.meters[meter].read(frozenset({metric}))
        await self._store([reading])
        return reading

    async def _store(self, readings: Sequence[MeterReading]) -> None:
        """Store, and wait for it as long as somebody who asks would; raises StorageError."""
        writing = asyncio.ensure_future(self._sink.write(readings))
        self._keep(writing)
        done, _ = await asyncio.wait([writing], timeout=PATIENCE_S)
        if not done:
            writing.add_done_callback(lambda task: task.cancelled() or task.exception())
            raise StorageError("what was read waits to be stored: the database takes nothing now")
        await writing

    async def _cycles(self, iterations: int, wait_s: int) -> list[CycleReport]:
        """Cycles that are stored while the next ones are read, at most RUN_AHEAD of them."""
        reports: list[CycleReport] = []
        storing: deque[asyncio.Task[None]] = deque()
        try:
            for iteration in range(iterations):
                if iteration:
                    await asyncio.sleep(wait_s)
                readings, report = await self._cycle()
                if len(storing) == RUN_AHEAD:
                    await storing.popleft()
                storing.append(asyncio.create_task(self._store(readings)))
                reports.append(report)
        finally:
            stored = await asyncio.gather(*storing, return_exceptions=True)
        for problem in stored:
            if problem is not None:
                raise problem
        return reports

    async def _cycle(self) -> tuple[Sequence[MeterReading], CycleReport]:
        started = self._clock()
        readings: list[MeterReading] = []
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take(reading: MeterReading) -> None:
            readings.append(reading)
            if len(readings) == len(meters) and not finished.done():
                finished.set_result(None)

        meters = list(self.meters.values())  # one may join meanwhile
        for meter in meters:
            meter.start(Poll(self._all[meter.name], take, started, scheduled=False))
        if meters:
            await finished
        return readings, _report(started, self._clock(), readings)


def _topics(meter: Meter) -> Wanted:
    return want(topic.name for topic in meter.profile.topics)


def _report(started: datetime, ended: datetime, readings: Sequence[MeterReading]) -> CycleReport:
    gaps = Counter[GapReason]()
    for reading in readings:
        gaps.update(reading.gaps.values())
    due = sum(len(reading.metrics) for reading in readings)
    return CycleReport(
        started,
        (ended - started) / timedelta(seconds=1),
        len(readings),
        tuple(r.meter for r in readings if not r.answered),
        due - gaps.total(),
        dict(gaps),
    )


async def _kept(writing: Awaitable[None], event: str, count: int) -> None:
    """Wait for a sink; that it fails is logged and ends nothing."""
    try:
        await writing
    except StorageError as error:
        log.warning(event, extra={"count": count, "error": str(error)})
    except Exception:
        log.exception(event, extra={"count": count})


def gap(meter: str, from_: int, to: int, reason: GapReason) -> Gap:
    """A gap between two ticks in microseconds since 1970."""
    return Gap(meter, from_us(from_), from_us(to), reason)
