"""What the database has not taken yet, on disk: events, first in first out.

`recorder` puts while its database is away and replays afterwards, from two threads. Rules to keep:
what `put` took survives any end of the process and of the machine; an event goes only when `remove`
says that the database has it, or when the bound drops it and gaps take its place.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from emdc.errors import StorageError
from emdc.reading import Gap, MeterReading
from emdc.storage.instants import from_text, to_text
from emdc.storage.spool import aside
from emdc.storage.spool.file import SpoolFile, Work
from emdc.storage.spool.overflow import drop_oldest
from emdc.storage.spool.parcel import Event, kind_of, pack, reading_count, unpack

log = logging.getLogger(__name__)

_DROP_TO: Final = 0.9
"""Part of the limit that is in use after a drop: to drop for each put would cost as much again."""
_MOST_EVENTS: Final = 1000
"""In one head: events without a reading count, too."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Head:
    """The oldest events, for the database; `first` and `last` are their numbers in the spool."""

    events: tuple[Event, ...]
    first: int
    last: int
    readings: int


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """How much waits."""

    events: int = 0
    readings: int = 0
    bytes: int = 0
    """Of the events; the file is larger."""
    oldest: datetime | None = None
    """When the oldest event that waits was put."""
    dropped: int = 0
    """Readings that the bound dropped since `open`."""
    aside: int = 0
    """Rows that wait for a person in the table `aside`."""


class _Put(NamedTuple):
    kind: str
    put_at: datetime
    readings: int
    body: bytes


_TOTALS: Final = (
    "SELECT count(*), CAST(total(readings) AS INTEGER), CAST(total(length(body)) AS INTEGER),"
    " coalesce(max(seq), 0) FROM events"
)
"""`total` does not overflow, whatever a damaged row says of itself."""
_ROWS: Final = (
    "SELECT seq, kind, coalesce(CAST(readings AS INTEGER), 0), body FROM events ORDER BY seq"
)


class Spool:
    """Events on disk, first in first out.

    Bodies of events take at most `limit_bytes`; a single event that is larger is kept all the same.
    `clock` gives the time in UTC. Every method may be called from any thread; those that touch the
    disk raise StorageError when it fails, then nothing has changed and the call can be repeated.
    """

    def __init__(self, path: Path, *, limit_bytes: int, clock: Callable[[], datetime]) -> None:
        self.path = path
        self.limit_bytes = limit_bytes
        self._clock = clock
        self._lock = threading.RLock()
        self._file = SpoolFile(path, clock=clock, opened=self._count)
        self._status = self._pending = SpoolStatus()
        self._last = 0
        """The highest number that was given; none is given twice, so a head stays what it is."""
        self._held = 0
        """The last event of the newest head; what is in hand is not dropped."""

    def open(self) -> None:
        """Claim and open the file, or make it; a damaged one is set aside and what it gives kept.

        Raises StorageError when another process has it or the disk refuses.
        """
        with self._lock:
            if self._file.claimed:
                return
            self._file.claim()
            self._status, self._held = SpoolStatus(), 0
            try:
                self._run(lambda _: None)
            except StorageError:
                self._file.close()
                raise

    def put(self, event: Event) -> None:
        """Keep an event; it is durable when this returns."""
        row = _Put(kind_of(event), self._clock(), reading_count(event), pack(event))
        self._run(lambda connection: self._insert(connection, row))

    def head(self, most: int) -> Head | None:
        """The oldest events, at least one, further ones up to `most` readings; None when empty.

        They stay until `remove`, and until the next call the bound does not drop them. An event
        that cannot be read is set aside alone.
        """
        return self._run(lambda connection: self._read(connection, most))

    def remove(self, head: Head) -> None:
        """Forget the events of the newest head: the database has them."""
        with self._lock:
            self._run(lambda connection: self._delete(connection, head))
            if not self._status.events:
                self._file.shrink()

    def set_aside(self, entry: MeterReading | Gap, reason: str) -> None:
        """Keep what the database will always refuse where a person can read it."""
        self._run(lambda connection: self._set_aside(connection, entry, reason))

    def status(self) -> SpoolStatus:
        """How much waits, as of the last call that changed it; does not wait for the disk."""
        return self._status

    def close(self) -> None:
        """Give the file up; all that it holds waits for the next `open`."""
        with self._lock:
            self._file.close()

    def _run(self, work: Work[_T]) -> _T:
        """Do it in one transaction; what it changes in `_pending` holds when that is committed."""

        def attempt(connection: sqlite3.Connection) -> _T:
            self._pending = self._status
            return work(connection)

        with self._lock:
            result = self._file.run(attempt)
            self._status = self._pending
        return result

    def _count(self, connection: sqlite3.Connection) -> None:
        """Look what waits in a file that was just opened."""
        events, readings, size, last = connection.execute(_TOTALS).fetchone()
        self._last = max(self._last, last)
        self._status = replace(
            self._status,
            events=events,
            readings=readings,
            bytes=size,
            oldest=_oldest(connection),
            aside=aside.count(connection),
        )

    def _insert(self, connection: sqlite3.Connection, row: _Put) -> None:
        self._last += 1
        connection.execute(
            "INSERT INTO events (seq, kind, put_at, readings, body) VALUES (?, ?, ?, ?, ?)",
            (self._last, row.kind, to_text(row.put_at), row.readings, row.body),
        )
        before = self._pending
        self._pending = replace(
            before,
            events=before.events + 1,
            readings=before.readings + row.readings,
            bytes=before.bytes + len(row.body),
            oldest=before.oldest or row.put_at,
        )
        if self._pending.bytes > self.limit_bytes:
            self._make_room(connection)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        excess = self._pending.bytes - int(self.limit_bytes * _DROP_TO)
        drop = drop_oldest(connection, after=self._held, before=self._last, excess=excess)
        before = self._pending
        self._pending = replace(
            before,
            events=before.events - drop.removed,
            readings=before.readings - drop.readings,
            bytes=before.bytes - drop.freed,
            oldest=_oldest(connection),
            dropped=before.dropped + drop.readings,
        )
        if drop.readings:
            facts = {"path": str(self.path), "readings": drop.readings, "limit": self.limit_bytes}
            log.error("spool full: oldest readings dropped", extra=facts)

    def _read(self, connection: sqlite3.Connection, most: int) -> Head | None:
        events: list[Event] = []
        first = last = total = 0
        unreadable: list[tuple[int, object, str]] = []
        rows = connection.execute(_ROWS)
        for seq, kind, readings, body in rows:
            if events and (total + readings > most or len(events) == _MOST_EVENTS):
                break
            try:
                events.append(unpack(kind, body))
            except StorageError as error:
                unreadable.append((seq, body, f"event {seq} of kind {kind}: {error}"))
                continue
            first, last, total = first or seq, seq, total + readings
        rows.close()
        for seq, body, reason in unreadable:
            self._set_event_aside(connection, seq, body, reason)
        self._held = last
        return Head(tuple(events), first, last, total) if events else None

    def _delete(self, connection: sqlite3.Connection, head: Head) -> None:
        self._forget(connection, head.first, head.last)
        self._held = 0

    def _forget(self, connection: sqlite3.Connection, first: int, last: int) -> None:
        of_these = _TOTALS + " WHERE seq BETWEEN ? AND ?"
        events, readings, size, _ = connection.execute(of_these, (first, last)).fetchone()
        connection.execute("DELETE FROM events WHERE seq BETWEEN ? AND ?", (first, last))
        before = self._pending
        self._pending = replace(
            before,
            events=before.events - events,
            readings=before.readings - readings,
            bytes=before.bytes - size,
            oldest=_oldest(connection),
        )

    def _set_aside(
        self, connection: sqlite3.Connection, entry: MeterReading | Gap, reason: str
    ) -> None:
        aside.keep_entry(connection, entry, reason, to_text(self._clock()))
        self._pending = replace(self._pending, aside=aside.count(connection))

    def _set_event_aside(
        self, connection: sqlite3.Connection, seq: int, body: object, reason: str
    ) -> None:
        log.error("spooled event set aside", extra={"path": str(self.path), "error": reason})
        aside.keep_body(connection, body, reason, to_text(self._clock()))
        self._forget(connection, seq, seq)
        self._pending = replace(self._pending, aside=aside.count(connection))


def _oldest(connection: sqlite3.Connection) -> datetime | None:
    row = connection.execute("SELECT put_at FROM events ORDER BY seq LIMIT 1").fetchone()
    with suppress(ValueError, TypeError):
        return from_text(row[0]) if row else None
    return None
