"""What a spool that is full drops: its oldest entries, which leave gaps in their place.

Called by `spool` inside the transaction of a put. Rules to keep: starts and stops stay, events
keep their order, and every tick that a dropped entry answered for is in one gap afterwards.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from emdc.errors import StorageError
from emdc.reading import Gap
from emdc.storage.spool.backlog import Entry, owed
from emdc.storage.spool.parcel import Entries, pack, unpack

REASON: Final = "spool_overflow"


@dataclass(slots=True)
class Drop:
    """What `drop_oldest` did."""

    dropped: int = 0
    """Events of which only gaps are left."""
    readings: int = 0
    """Readings in them."""
    removed: int = 0
    """Rows that are gone: all but one of each run of neighbours."""
    freed: int = 0
    """Bytes of bodies, less those of the gaps that came instead."""


def drop_oldest(connection: sqlite3.Connection, *, after: int, before: int, excess: int) -> Drop:
    """Drop entries between two events, oldest first, until `excess` bytes are free or none is left.

    `after` is the last event that a reader has in hand: what it reads may be in the database
    already. Gaps beside those of an earlier drop become one with them, so that a long outage costs
    one range for each meter and run of the daemon, however much of it is dropped.
    """
    drop = Drop()
    while drop.freed < excess:
        dropped = drop.dropped
        _pass(connection, (after, before), drop, excess)
        if drop.dropped == dropped:
            break
    return drop


def _pass(
    connection: sqlite3.Connection, between: tuple[int, int], drop: Drop, excess: int
) -> None:
    """Drop what frees `excess` bytes, as far as that is known before the gaps are written."""
    found = connection.execute(
        "SELECT seq, kind FROM events WHERE seq > ? AND seq < ? ORDER BY seq", between
    ).fetchall()
    run = _Run(connection, drop)
    for seq, kind in found:
        if drop.freed >= excess:
            break
        if kind in {"entries", "dropped"}:
            run.take(seq, kind)
        else:
            run.close()
            run = _Run(connection, drop)
    run.close()


class _Run:
    """Neighbours that are dropped: they become one event of gaps, in the place of the first.

    Events are in order, and those of one meter are in the order of its ticks (`collector/cycle.py`
    sees to that). So each tick between the first and the last that a run owes of a meter was in
    the run too, and one range for each meter covers these ticks and no other. A start or a stop
    ends a run: ticks that passed while no daemon ran were never in an event.
    """

    def __init__(self, connection: sqlite3.Connection, drop: Drop) -> None:
        self._connection = connection
        self._drop = drop
        self._taken: list[int] = []
        self._earlier = 0
        """Bytes of what was dropped earlier; they are free only when the run is written anew."""
        self._changed = False
        self._gaps: dict[str, Gap] = {}

    def take(self, seq: int, kind: str) -> None:
        """Add an event; one that cannot be read stays where it is, for `head` to find."""
        readings, body = self._connection.execute(
            "SELECT coalesce(CAST(readings AS INTEGER), 0), body FROM events WHERE seq = ?", (seq,)
        ).fetchone()
        try:
            event = unpack(kind, body)
        except StorageError:
            return
        assert isinstance(event, Entries)
        self._owe(event.entries)
        self._taken.append(seq)
        if kind == "dropped":
            self._earlier += len(body)
            return
        self._drop.dropped += 1
        self._drop.readings += readings
        self._drop.freed += len(body)
        self._changed = True

    def close(self) -> None:
        """Write the gaps."""
        if not self._changed:
            return
        body = pack(Entries(tuple(self._gaps.values())))
        keep = self._taken[:1] if self._gaps else []  # readings asked for by hand owe no tick
        for seq in keep:
            self._connection.execute(
                "UPDATE events SET kind = 'dropped', readings = 0, body = ? WHERE seq = ?",
                (body, seq),
            )
            self._drop.freed -= len(body)
        gone = [(seq,) for seq in self._taken[len(keep) :]]
        self._connection.executemany("DELETE FROM events WHERE seq = ?", gone)
        self._drop.freed += self._earlier
        self._drop.removed += len(gone)

    def _owe(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            ends = owed(entry)
            if ends is None or ends[0] >= ends[1]:
                continue
            start, end = ends
            if (before := self._gaps.get(entry.meter)) is not None:
                start, end = min(start, before.from_ts), max(end, before.to_ts)
            self._gaps[entry.meter] = Gap(entry.meter, start, end, REASON)
