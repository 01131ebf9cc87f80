"""A sink that keeps readings in the database.

`write` returns when its readings are on disk. All SQL runs on one thread of its own, in groups:
what comes while a commit runs is the next commit. When the database fails, readings wait and the
thread tries again; no caller is blocked but the one that awaits its own write.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from emdc.errors import StorageError
from emdc.reading import Gap, MeterProfile, MeterReading
from emdc.storage import registry
from emdc.storage.backlog import Backlog, Entry, Write
from emdc.storage.database import connected, is_memory, reason, shown
from emdc.storage.layout import MeterLayout
from emdc.storage.store import Outcome, Store

log = logging.getLogger(__name__)

_LONGEST_RETRY_S: Final = 5.0
_CLOSING_RETRY_S: Final = 0.2
_PER_METER: Final = timedelta(milliseconds=1)
"""More than it takes to record what one meter owes: no tick shall be owed before it is done."""
_STOP_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """How the database is doing; counts are of readings since the start."""

    url: str
    """Without a password."""
    in_memory: bool
    """Readings are lost at exit."""
    ok: bool
    """Whether the last attempt to write succeeded."""
    last_commit_at: datetime | None = None
    last_error: str | None = None
    """What the last failure was; it stays after the database has recovered."""
    queued: int = 0
    """Readings and gaps that are not on disk yet."""
    stored: int = 0
    conflicts: int = 0
    """Readings whose tick had other values already; those stay."""
    dropped: int = 0
    """Readings that are lost: no room in the queue, refused, or too old for memory."""


class Recorder:
    """Satisfies the collector's Sink by shape.

    `clock` gives the time in UTC. At most `limit` readings wait for the database. A failed commit
    is repeated after `retry_s` seconds, then twice as long, at most 5. A database in memory keeps
    the newest `memory_limit` readings.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], datetime],
        limit: int = 100_000,
        retry_s: float = 1.0,
        memory_limit: int = 100_000,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._retry_s = retry_s
        self._memory_limit = memory_limit
        self._scheduled = True
        self._backlog = Backlog(limit)
        self._thread: threading.Thread | None = None
        self._given_up = threading.Event()
        self._lock = threading.Lock()
        self._status = StorageStatus(shown(engine.url), is_memory(engine), ok=True)

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
        now is when this is done, which may take seconds with many topics. With
        `scheduled` false only readings by hand come, and what is owed stays as it is. Raises
        ConfigError when two meters claim one topic, StorageError when the database fails.
        """
        self._scheduled = scheduled
        begin, layouts = await asyncio.to_thread(self._register, profiles, now)
        store = Store(self._engine, layouts, memory_limit=self._memory_limit)
        self._thread = threading.Thread(
            target=self._run, args=(store,), name="emdc-writer", daemon=True
        )
        self._thread.start()
        return begin

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
        with self._lock:
            return replace(self._status, queued=self._backlog.count)

    async def stop(self, timeout_s: float = _STOP_S) -> None:
        """Write what is queued and leave the mark of a clean stop, within about `timeout_s`.

        What the database does not take in that time is lost, logged, and an error for its writers.
        """
        self._backlog.close()
        thread = self._thread
        if thread is None:
            return
        await asyncio.to_thread(thread.join, timeout_s)
        if thread.is_alive():
            self._given_up.set()
            await asyncio.to_thread(thread.join, 1.0)

    def _register(
        self, profiles: Sequence[MeterProfile], now: datetime | None
    ) -> tuple[datetime, dict[str, MeterLayout]]:
        with connected(self._engine, write=True) as connection:
            claimed = registry.claim(connection, profiles)
        now = now or self._clock() + _PER_METER * len(profiles)
        with connected(self._engine, write=True) as connection:
            layouts = registry.owe(connection, profiles, claimed, now, scheduled=self._scheduled)
        return now, layouts

    async def _put(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        if self._thread is None:
            raise StorageError("the recorder is not running, expected start() before a write")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str | None] = loop.create_future()
        lost = self._backlog.put(entries, lambda kept: Write(kept, loop, done))
        if lost:
            self._count_lost(lost)
        problem = await done if lost < len(entries) else None
        if lost:
            problem = f"{lost} of {len(entries)} readings dropped: the queue is full"
        if problem is not None:
            raise StorageError(f"{self._status.url}: {problem}")

    def _run(self, store: Store) -> None:
        while (group := self._backlog.take()) is not None:
            writes, drops = group
            entries = [*drops, *(entry for write in writes for entry in write.entries)]
            result = self._commit(store, entries)
            self._backlog.release(writes)
            self._finish(writes, len(drops), result)
        self._end(store)

    def _commit(self, store: Store, entries: Sequence[Entry]) -> Outcome | str:
        """The outcome, after as many attempts as it takes, or why there is none."""
        wait_s = self._retry_s
        while True:
            try:
                outcome = store.commit(entries)
            except SQLAlchemyError as error:
                store.close(broken=not self._status.in_memory)
                self._failed(reason(error))
            except Exception as error:
                log.exception("writing failed by a fault of this program")
                self._failed(repr(error))
                return repr(error)
            else:
                self._succeeded(outcome)
                return outcome
            if self._pause(wait_s):
                return f"not written when the program stopped: {self._status.last_error}"
            wait_s = min(wait_s * 2, _LONGEST_RETRY_S)

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
                self._count_lost(len(write.entries))
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

    def _end(self, store: Store) -> None:
        try:
            if self._scheduled and not self._given_up.is_set():
                store.mark_stop(self._clock())
            store.close()
        except SQLAlchemyError as error:
            log.warning("no mark of a clean stop", extra={"error": reason(error)})

    def _succeeded(self, outcome: Outcome) -> None:
        with self._lock:
            before, now = self._status, self._clock()
            lost = outcome.trimmed + len(outcome.refused)
            self._status = replace(
                before,
                ok=True,
                last_commit_at=now,
                stored=before.stored + outcome.stored,
                conflicts=before.conflicts + outcome.conflicts,
                dropped=before.dropped + lost,
            )
        if not before.ok:
            log.info("database writes again", extra={"url": before.url})
        for why in list(outcome.refused.values())[:3]:
            log.error("reading refused", extra={"url": before.url, "error": why})

    def _failed(self, why: str) -> None:
        with self._lock:
            before = self._status
            self._status = replace(before, ok=False, last_error=why)
        if before.ok:
            log.error("database does not write", extra={"url": before.url, "error": why})

    def _count_lost(self, lost: int) -> None:
        with self._lock:
            before = self._status
            self._status = replace(before, dropped=before.dropped + lost)
        if not before.dropped:
            log.error("readings are lost", extra={"url": before.url, "readings": lost})


def _resolve(results: Sequence[tuple["asyncio.Future[str | None]", str | None]]) -> None:
    for done, problem in results:
        if not done.done():
            done.set_result(problem)
