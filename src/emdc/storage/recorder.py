"""A sink that keeps readings: in the database, or in the spool until the database takes them.

`write` returns when its readings are on disk. What comes is taken in groups by a thread of its own:
what comes while a commit runs is the next one. A second thread speaks to the database (`delivery`).
When that fails, or does not answer soon, the group goes to the spool and no caller waits longer.
Without a spool, or when even that takes nothing, readings wait and both are tried again.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from emdc.errors import SchemaError, StorageError
from emdc.reading import Gap, MeterProfile, MeterReading
from emdc.storage.database import is_memory
from emdc.storage.delivery import Delivery
from emdc.storage.layout import Rounding
from emdc.storage.spool.backlog import Backlog, Entry, Write
from emdc.storage.spool.parcel import Entries, Event, Started, Stopped
from emdc.storage.spool.spool import Spool
from emdc.storage.store import Outcome
from emdc.storage.tally import StorageStatus, Tally
from emdc.storage.urls import reason, shown

log = logging.getLogger(__name__)

_LONGEST_RETRY_S: Final = 5.0
_CLOSING_RETRY_S: Final = 0.2
_PATIENCE_S: Final = 2.0
"""A database that takes longer for one group is not waited for: the group goes to the spool."""
_START_PATIENCE_S: Final = 15.0
_PER_METER: Final = timedelta(milliseconds=1)
"""More than it takes to record what one meter owes: no tick shall be owed before it is done."""
_STOP_S: Final = 8.0


class Recorder:
    """Satisfies the collector's Sink by shape.

    `clock` gives the time in UTC. At most `limit` readings wait in memory. A failed commit is
    repeated after `retry_s` seconds, then twice as long, at most 5. A database in memory keeps the
    newest `memory_limit` readings.
    """

    def __init__(  # noqa: PLR0913 (all but two have a default, which tests alone change)
        self,
        engine: Engine,
        *,
        clock: Callable[[], datetime],
        spool: Spool | None = None,
        limit: int = 100_000,
        retry_s: float = 1.0,
        memory_limit: int = 100_000,
    ) -> None:
        self._clock = clock
        self._spool = spool
        self._retry_s = retry_s
        self._scheduled = True
        self._backlog = Backlog(limit)
        self._rounding = Rounding({})
        self._begin: datetime | None = None
        self._deciding = threading.Lock()
        self._thread: threading.Thread | None = None
        self._given_up = threading.Event()
        self._tally = Tally(shown(engine.url), in_memory=is_memory(engine), clock=clock)
        self.delivery = Delivery(
            engine, spool, self._tally, retry_s=retry_s, memory_limit=memory_limit, clock=clock
        )
        """What speaks to the database, for whoever else has something to write there."""

    async def start(
        self,
        profiles: Sequence[MeterProfile],
        now: datetime | None = None,
        *,
        scheduled: bool = True,
    ) -> datetime:
        """Register the configured meters and begin to write; gives `now`.

        Each scheduled tick at or after `now` (a multiple of the interval since 1970 UTC) is owed a
        reading or a gap from here on; those since the last run's last become a gap. Without it,
        now is when this is done, which may take seconds with many topics. With `scheduled` false
        only readings by hand come, and what is owed stays as it is. With a spool all this is done
        later when the database is away. Raises ConfigError when two meters claim one topic,
        SchemaError when the database is of another version, StorageError when it fails.
        """
        self._scheduled = scheduled
        self._begin = now
        self._rounding = Rounding(
            {p.name: {topic.name: topic.digits for topic in p.topics} for p in profiles}
        )
        begin = await asyncio.to_thread(self._start, tuple(profiles))
        self._thread = threading.Thread(target=self._run, name="emdc-writer", daemon=True)
        self._thread.start()
        return begin

    async def join(self, profile: MeterProfile, begin: datetime) -> None:
        """Register a meter that joins, or joins anew with other topics; owed from `begin` on.

        Raises ConfigError when it claims a topic of another; StorageError or TimeoutError while the
        database is away or readings wait to come into it.
        """
        await asyncio.to_thread(self._join, profile, begin)

    async def write(self, readings: Sequence[MeterReading]) -> None:
        """Keep readings; returns when they are durable, however long the database is away.

        Raises StorageError when one was dropped or refused, or after `stop`.
        """
        await self._put(readings)

    async def write_gaps(self, gaps: Sequence[Gap]) -> None:
        """Keep ranges of ticks without a reading; as `write`."""
        await self._put(gaps)

    def status(self) -> StorageStatus:
        """How it is going right now."""
        status = replace(self._tally.status, queued=self._backlog.count)
        if self._spool is None:
            return status
        spool = self._spool.status()
        return replace(
            status,
            spooled=spool.readings,
            spool_bytes=spool.bytes,
            spool_limit_bytes=self._spool.limit_bytes,
            spool_since=spool.oldest,
            spool_path=str(self._spool.path),
            overflowed=spool.dropped,
        )

    async def stop(self, timeout_s: float = _STOP_S) -> None:
        """Keep what is queued and leave the mark of a clean stop, within about `timeout_s`.

        What neither database nor spool takes in that time is lost, logged, and an error for its
        writers.
        """
        self._backlog.close()
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join, timeout_s)
            if thread.is_alive():
                self._given_up.set()
                await asyncio.to_thread(thread.join, 1.0)
        await asyncio.to_thread(self.delivery.close, 1.0)
        if self._spool is not None:
            self._spool.close()

    def _start(self, profiles: tuple[MeterProfile, ...]) -> datetime:
        """Register at once if the database answers and nothing waits before; else by the spool."""
        self.delivery.start()
        if self._spool is None:
            self.delivery.call(lambda: self._register(profiles), None)
            return self._begun(profiles)
        if self._spool.path.exists():
            self._spool.open()
        try:
            self.delivery.call(self.delivery.prepare, _START_PATIENCE_S)
            if not self._spool.status().events:
                self.delivery.call(lambda: self._register(profiles), _START_PATIENCE_S)
                return self._begun(profiles)
        except SchemaError:
            raise
        except (StorageError, SQLAlchemyError, TimeoutError) as error:
            self._tally.failed(reason(error) or "it does not answer")
        begin = self._begun(profiles)
        self._set_by(self._spool, Started(profiles, begin, self._scheduled))
        return begin

    def _join(self, profile: MeterProfile, begin: datetime) -> None:
        if not self.delivery.ready:
            raise StorageError(self._tally.status.last_error or "readings wait in the spool")
        join = partial(self.delivery.join, profile, begin, scheduled=self._scheduled)
        self.delivery.call(join, _PATIENCE_S)
        self._rounding.learn(profile.name, {topic.name: topic.digits for topic in profile.topics})

    def _set_by(self, spool: Spool, event: Event) -> None:
        """Let the spool have it. Raises StorageError when its disk refuses."""
        spool.open()
        spool.put(event)
        self.delivery.wake()

    def _register(self, profiles: tuple[MeterProfile, ...]) -> None:
        self.delivery.register(profiles, lambda: self._begun(profiles), scheduled=self._scheduled)

    def _begun(self, profiles: Sequence[MeterProfile]) -> datetime:
        """From when ticks are owed: decided once, by whoever needs it first."""
        with self._deciding:
            if self._begin is None:
                self._begin = self._clock() + _PER_METER * len(profiles)
            return self._begin

    async def _put(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        if self._thread is None:
            raise StorageError("the recorder is not running, expected start() before a write")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str | None] = loop.create_future()
        lost = self._backlog.put(entries, lambda kept: Write(kept, loop, done))
        if lost:
            self._tally.lost(lost)
        problem = await done if lost < len(entries) else None
        if lost:
            problem = f"{lost} of {len(entries)} readings dropped: the queue is full"
        if problem is not None:
            raise StorageError(f"{self._tally.status.url}: {problem}")

    def _run(self) -> None:
        while (group := self._backlog.take()) is not None:
            writes, drops = group
            entries = [*drops, *(entry for write in writes for entry in write.entries)]
            result = self._keep(entries)
            self._backlog.release(writes)
            self._finish(writes, len(drops), result)
        if self._scheduled and not self._given_up.is_set():
            self._mark_stop()

    def _keep(self, entries: Sequence[Entry]) -> Outcome | str:
        """The outcome, after as many attempts as it takes, or why there is none."""
        wait_s, must = self._retry_s, self._spool is None
        while True:
            if must or self.delivery.ready:
                outcome = self._deliver(entries)
                if outcome is not None:
                    return outcome
            if self._spool is not None:
                try:
                    self._set_by(self._spool, Entries(self._rounding.rounded(entries)))
                except StorageError as error:
                    self._tally.failed(str(error))
                    must = True
                else:
                    return Outcome()
            if self._pause(wait_s):
                return f"not written when the program stopped: {self._tally.status.last_error}"
            wait_s = min(wait_s * 2, _LONGEST_RETRY_S)

    def _deliver(self, entries: Sequence[Entry]) -> Outcome | str | None:
        """The database's outcome, or the fault of this program; None when it did not take them."""
        patience_s = None if self._spool is None else _PATIENCE_S
        try:
            return self.delivery.call(lambda: self.delivery.commit(entries), patience_s)
        except (SQLAlchemyError, TimeoutError):
            return None
        except Exception as error:
            log.exception("writing failed by a fault of this program")
            self._tally.failed(repr(error))
            return repr(error)

    def _pause(self, wait_s: float) -> bool:
        """Wait before the next attempt; gives whether there is none."""
        if not self._backlog.closed:
            self._backlog.wait_closed(wait_s)
            return False
        return self._given_up.wait(_CLOSING_RETRY_S)

    def _finish(self, writes: Sequence[Write], offset: int, result: Outcome | str) -> None:
        problems: list[tuple[Write, str | None]] = []
        for write in writes:
            end = offset + len(write.entries)
            if isinstance(result, str):
                problem: str | None = result
                self._tally.lost(len(write.entries))
            else:
                refused = (result.refused[i] for i in range(offset, end) if i in result.refused)
                problem = next(refused, None) if result.refused else None
            problems.append((write, problem))
            offset = end
        for loop in {write.loop for write in writes}:
            mine = [(write.done, problem) for write, problem in problems if write.loop is loop]
            try:
                loop.call_soon_threadsafe(_resolve, mine)
            except RuntimeError:
                log.debug("a writer's event loop was closed before its readings were stored")

    def _mark_stop(self) -> None:
        at = self._clock()
        try:
            if self._spool is None or self.delivery.ready:
                self.delivery.call(lambda: self.delivery.mark_stop(at), _PATIENCE_S)
            else:
                self._set_by(self._spool, Stopped(at))
        except (SQLAlchemyError, StorageError, TimeoutError) as error:
            log.warning("no mark of a clean stop", extra={"error": reason(error)})


def _resolve(results: Sequence[tuple["asyncio.Future[str | None]", str | None]]) -> None:
    for done, problem in results:
        if not done.done():
            done.set_result(problem)
