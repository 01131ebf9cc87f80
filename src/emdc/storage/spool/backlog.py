"""What waits to be written: bounded, in order, shared by the event loop and the writer thread.

`recorder` puts writes in from the loop, its thread takes them out in groups. What finds no room is
dropped, newest first, and remembered as ranges of ticks that are written once there is room again.
"""

import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from emdc.errors import StorageError
from emdc.reading import Gap, MeterReading
from emdc.storage.instants import MICROSECOND

_MANY: Final = 8
_GATHER_S: Final = 0.02
"""When many writes came at once the last time, the next group gathers for so long: each commit
costs a flush of the disk, and meters of one tick answer within some milliseconds of each other."""

Entry = MeterReading | Gap


@dataclass(slots=True, eq=False)
class Write:
    """One caller's entries, and the future that it awaits."""

    entries: Sequence[Entry]
    loop: AbstractEventLoop
    done: "Future[str | None]"
    """Becomes None when all is durable, or the reason why something is lost."""


class Backlog:
    """At most `limit` entries, those that are being written included."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._writes: list[Write] = []
        self._many = False
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._open_drops: dict[str, Gap] = {}
        self._sealed_drops: list[Gap] = []

    @property
    def count(self) -> int:
        """Entries that are not durable yet."""
        return self._count

    @property
    def closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed.is_set()

    def put(self, entries: Sequence[Entry], write: Callable[[Sequence[Entry]], Write]) -> int:
        """Queue as many entries as there is room for, as one Write; gives how many were dropped.

        `write` makes the Write of those that are kept; it is not called when none are.
        Raises StorageError after `close`.
        """
        with self._changed:
            if self.closed:
                raise StorageError("the recorder is not running, expected start() before a write")
            kept = entries[: max(0, self._limit - self._count)]
            for entry in entries[len(kept) :]:
                self._drop(entry)
            if kept:
                self._count += len(kept)
                self._writes.append(write(kept))
                self._changed.notify()
        return len(entries) - len(kept)

    def take(self) -> tuple[list[Write], list[Gap]] | None:
        """All that is queued and the ranges of what was dropped; waits for any of it.

        None when the backlog is closed and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._writes or self._sealed_drops or self.closed)
        if self._many:
            self._closed.wait(_GATHER_S)
        with self._changed:
            writes, self._writes = self._writes, []
            drops, self._sealed_drops = self._sealed_drops, []
            self._many = len(writes) > _MANY
        return (writes, drops) if writes or drops else None

    def release(self, writes: Sequence[Write]) -> None:
        """Make room: these writes are done with."""
        with self._changed:
            self._count -= sum(len(write.entries) for write in writes)
            # From here on newer entries may follow, which these ranges must not cover.
            self._sealed_drops += self._open_drops.values()
            self._open_drops.clear()

    def close(self) -> None:
        """Take nothing more; what is queued can still be taken out."""
        with self._changed:
            self._closed.set()
            self._changed.notify()

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait for `close`, at most so long; gives whether it came."""
        return self._closed.wait(timeout_s)

    def _drop(self, entry: Entry) -> None:
        ends = owed(entry)
        if ends is None:
            return
        start, end = ends
        before = self._open_drops.get(entry.meter)
        if before is not None:
            start, end = min(start, before.from_ts), max(end, before.to_ts)
        self._open_drops[entry.meter] = Gap(entry.meter, start, end, "queue_full")


def owed(entry: Entry) -> tuple[datetime, datetime] | None:
    """The ticks that an entry answers for; None for a manual reading."""
    if isinstance(entry, Gap):
        return entry.from_ts, entry.to_ts
    return (entry.tick, entry.tick + MICROSECOND) if entry.scheduled else None
