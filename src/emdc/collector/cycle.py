"""Collection cycles over all meters: on schedule, and when asked.

Every meter that is due is read at the same time as the others, and its reading goes to the sinks
as soon as it is there, so that a mute meter delays nobody. The schedule does not wait for the
sinks; a cycle that was asked for does.
Rules to keep: a due tick always ends as one reading or one gap, and no fault of one meter, of a
sink or of this program ends the polling of a meter.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from emdc.collector.latest import Latest
from emdc.collector.schedule import from_us
from emdc.collector.sinks import Sink
from emdc.errors import BusyError, StorageError
from emdc.meters.meter import Meter, Poll, want
from emdc.reading import Gap, GapReason, MeterReading

log = logging.getLogger(__name__)

RUN_AHEAD: Final = 8
"""Cycles of one call that may wait for the database; those that wait share a commit."""


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What one cycle over all meters gave."""

    started: datetime
    duration_s: float
    meters: int
    failed: tuple[str, ...]
    """Meters that gave no value at all."""
    values: int
    gaps: Mapping[GapReason, int]
    """Missing values by reason."""


class Collector:
    """Reads the meters; the web asks it for cycles and single readings."""

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
        self._all = {
            meter.name: want(topic.name for topic in meter.profile.topics) for meter in meters
        }
        self._polling: set[str] = set()
        self._idle: asyncio.Event | None = None
        """Set by the last reading under way; there is one while stopping."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._outbox: list[MeterReading] = []
        self._turn = asyncio.Lock()
        self._callers = 0
        self._reading: dict[tuple[str, str], asyncio.Task[MeterReading]] = {}

    # On schedule

    def start_tick(
        self, meter: Meter, wanted: frozenset[str], tick: datetime, until: float
    ) -> bool:
        """Start reading what is due of one meter in this tick.

        False when its last tick is not finished: the caller records that this one is lost.
        `until` is the loop time after which no retry starts.
        """
        if meter.name in self._polling:
            return False
        self._polling.add(meter.name)
        try:
            meter.start(Poll(wanted, self._take, tick, scheduled=True, until=until))
        except BaseException:
            self._polling.discard(meter.name)
            raise
        return True

    async def write_gaps(self, gaps: Sequence[Gap]) -> None:
        """Record ranges without readings; a database that is away does not stop the schedule."""
        try:
            await self._sink.write_gaps(gaps)
        except StorageError as error:
            log.warning("gaps not recorded", extra={"gaps": len(gaps), "error": str(error)})
        except Exception:
            log.exception("gaps not recorded", extra={"gaps": len(gaps)})

    async def stop(self, *, within_s: float = 2.0) -> None:
        """Let readings that are under way end, for `within_s` at most, and hand over the last."""
        if self._polling:
            self._idle = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), within_s)
        await self._flush()
        await asyncio.gather(*self._tasks)

    def _take(self, reading: MeterReading) -> None:
        self._polling.discard(reading.meter)
        if self._idle is not None and not self._polling:
            self._idle.set()
        if not self._outbox:
            # What ends in one turn of the loop is handed over together.
            asyncio.get_running_loop().call_soon(self._send)
        self._outbox.append(reading)

    def _send(self) -> None:
        task = asyncio.get_running_loop().create_task(self._flush())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _flush(self) -> None:
        readings, self._outbox = self._outbox, []
        try:
            if readings:
                await self._sink.write(readings)
        except StorageError as error:
            log.warning("readings lost", extra={"readings": len(readings), "error": str(error)})
        except Exception:
            log.exception("readings lost", extra={"readings": len(readings)})

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
        await self._sink.write([reading])
        return reading

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
                storing.append(asyncio.create_task(self._sink.write(readings)))
                reports.append(report)
        finally:
            await asyncio.gather(*storing)
        return reports

    async def _cycle(self) -> tuple[Sequence[MeterReading], CycleReport]:
        started = self._clock()
        readings: list[MeterReading] = []
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take(reading: MeterReading) -> None:
            readings.append(reading)
            if len(readings) == len(self.meters) and not finished.done():
                finished.set_result(None)

        for meter in self.meters.values():
            meter.start(Poll(self._all[meter.name], take, started, scheduled=False))
        if self.meters:
            await finished
        return readings, _report(started, self._clock(), readings)


def _report(started: datetime, ended: datetime, readings: Sequence[MeterReading]) -> CycleReport:
    gaps = Counter[GapReason]()
    for reading in readings:
        gaps.update(reading.gaps.values())
    due = sum(len(reading.metrics) for reading in readings)
    return CycleReport(
        started,
        (ended - started) / timedelta(seconds=1),
        len(readings),
        tuple(r.meter for r in readings if len(r.gaps) == len(r.metrics)),
        due - gaps.total(),
        dict(gaps),
    )


def gap(meter: str, from_: int, to: int, reason: GapReason) -> Gap:
    """A gap between two ticks in microseconds since 1970."""
    return Gap(meter, from_us(from_), from_us(to), reason)
