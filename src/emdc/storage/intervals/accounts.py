"""Keeping the quarter hours of every meter, from how far they are made to now.

What is stored comes of the readings alone, by `cells.fold`: whether a quarter hour was made as it
ended, after an outage, again for a reading that came late, or all from the beginning, the tables
are the same. Used by the collector's thread (`accountant`), by `emdc intervals` and by tests. The
last of a meter's transactions is a compare-and-set: when readings came in between, it is done
again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from time import sleep
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Connection, Engine, select

from emdc.energy.answers import CELL_S, DAY_S, cell_of, day_of
from emdc.storage.database import DIALECTS, connected, is_memory
from emdc.storage.engines.sqlite import keep_newest
from emdc.storage.intervals.commit import BusyError, ChangedError, Work, closing, storing
from emdc.storage.intervals.facts import Subject, subject
from emdc.storage.intervals.origin import OldRows, Readings
from emdc.storage.intervals.states import (
    Beginning,
    Progress,
    first_row,
    last_reading,
    progress,
    progress_at,
    states_text,
)
from emdc.storage.intervals.walk import Walk, due_until
from emdc.storage.intervals.write import put_progress, stored_between
from emdc.storage.lateness import GRACE_S
from emdc.storage.places import place
from emdc.storage.schema import meters, topics

CLOSED_S: Final = 3600.0
"""A day is stored as such so long after its end."""

_ATTEMPTS: Final = 5
_TRIES: Final = 20
_TRY_AGAIN_S: Final = 0.1
"""An import has a meter for a quarter of a second. The writer of readings must not wait for it."""
_IN_MEMORY: Final = {"interval_rows": 4000, "interval_days": 4000, "interval_details": 200}
"""Rows that a database in memory keeps."""

Write: TypeAlias = Callable[[Work], None]


class Advanced(NamedTuple):
    """What became of one meter."""

    cells: int = 0
    """Quarter hours that were made."""
    epochs: int = 0
    """Places in them where a counter was found to begin anew."""
    next_at: float | None = None
    """The first quarter hour that is to be made next, seconds since 1970; None: no reading."""
    more: bool = False
    """It ended early, as it was asked to."""


class Accounts:
    """The quarter hours of one database.

    `write` runs its argument in one transaction (by itself on a connection of its own); `pause` is
    called between pieces of work of some ten milliseconds, with no transaction open; `tell` is told
    how many more quarter hours are made, and says whether to go on with the meter.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        write: Write | None = None,
        pause: Callable[[], None] = lambda: None,
        tell: Callable[[int], object] = lambda _cells: True,
    ) -> None:
        self._engine = engine
        self._write = write or self._write_alone
        self._pause = pause
        self._tell = tell
        self._old: OldRows | None = None
        self._seen: dict[int, tuple[tuple[str, str], float | None]] = {}
        """Of each meter how far it was made, and its last reading then."""

    def meters(self) -> dict[str, int]:
        """Numbers of the meters in the database, by name and in its order."""
        query = select(meters.c.name, meters.c.meter_id).order_by(meters.c.name)
        with connected(self._engine) as connection:
            return {row.name: row.meter_id for row in connection.execute(query)}

    def adopt(self) -> int:
        """Give topics that only the old collector has stored their places; gives how many.

        None where nobody has said what its times mean.
        """
        if self._old_rows.samples is None:
            return 0
        query = select(topics.c.topic_name).where(topics.c.meter_id.is_(None))
        with connected(self._engine) as connection:
            names = sorted(connection.execute(query).scalars())
        if names:
            with DIALECTS[self._engine.dialect.name].alone(self._engine):
                self._write(lambda connection: _place(connection, names))
        return len(names)

    def advance(
        self, meter_id: int, now: datetime, *, since: datetime | None = None, store: bool = True
    ) -> Advanced:
        """Make what is to be made of one meter, from `since` on if that is earlier.

        Quarter hours before its first reading, and those whose readings were deleted, are not made.
        Each call makes at least a day. With `store` false nothing is written. Raises StorageError
        or SQLAlchemyError when the database fails; the former too when it is changed all the time.
        """
        begin = None if since is None else cell_of(since.timestamp())
        for left in reversed(range(_ATTEMPTS)):
            try:
                return self._advance(meter_id, now.timestamp(), begin, store=store)
            except ChangedError:
                if not left:
                    raise
        raise AssertionError

    def _advance(self, meter_id: int, now: float, begin: float | None, *, store: bool) -> Advanced:
        with connected(self._engine) as connection:
            known = progress(connection, meter_id)
            newest = last_reading(connection, meter_id)
            mine = subject(connection, meter_id)
        origin = Readings(self._engine, mine, self._old_rows)
        until = max(cell_of(now - GRACE_S), known.through_at if known else 0.0)
        cells = epochs = 0
        first = None
        if begin is not None or not self._is_seen(mine, known, newest, until):
            first = _first(origin, known, begin)
        if known is None and first is not None and store:
            known = self._begin(meter_id, first)
        walk = Walk(mine, origin, until=until, pause=self._pause)
        for portion in walk.portions(first) if first else ():
            cells, epochs = cells + len(portion.cells), epochs + len(portion.epochs)
            if store:
                count = origin.count(portion.span)
                closed = now - CLOSED_S
                works, known = storing(mine, portion, known=known, closed=closed, count=count)
                self._do(works)
            if self._tell(len(portion.cells)) is False:
                return Advanced(cells, epochs, known.next_at if known else None, more=True)
        if store and known is not None:
            self._close_days(mine, known, min(known.next_at, now - CLOSED_S))
            self._seen[meter_id] = (known.mark, newest)
        return Advanced(cells, epochs, known.next_at if known else None)

    def _begin(self, meter_id: int, first: Beginning) -> Progress:
        """From now on whoever stores earlier readings can say so."""
        known = progress_at(first.start, first.start, states_text(first.states))
        self._do([lambda c: put_progress(c, meter_id, known=None, now=known)])
        return known

    def _is_seen(
        self, mine: Subject, known: Progress | None, newest: float | None, until: float
    ) -> bool:
        """Whether nothing has changed since its quarter hours were made."""
        if known is None:
            return False
        read_until = cell_of(newest) + CELL_S if newest is not None else 0.0
        if min(until, max(read_until, due_until(mine.facts.schedule))) > known.through_at:
            return False
        was = (known.mark, newest)
        return known.next_at == known.through_at or self._seen.get(mine.meter_id) == was

    def _close_days(self, mine: Subject, known: Progress, closed: float) -> None:
        """Store days as such that are over and lie in rows still."""
        with connected(self._engine) as connection:
            oldest = first_row(connection, mine.meter_id)
        day = closed if oldest is None else day_of(oldest)
        while day + DAY_S <= closed:
            with connected(self._engine) as connection:
                cells = stored_between(connection, mine.meter_id, day, day + DAY_S)
            if cells:
                self._do(closing(mine, day, cells, known))
            day += DAY_S

    @property
    def _old_rows(self) -> OldRows:
        if self._old is None:
            self._old = OldRows(self._engine)
        return self._old

    def _do(self, works: Sequence[Work]) -> None:
        for work in works:
            bounded = partial(_bounded, work) if is_memory(self._engine) else work
            for left in reversed(range(_TRIES)):
                try:
                    self._write(bounded)
                    break
                except BusyError:
                    if not left:
                        raise
                    sleep(_TRY_AGAIN_S)
            self._pause()

    def _write_alone(self, work: Work) -> None:
        with connected(self._engine, write=True) as connection:
            work(connection)


def _first(origin: Readings, known: Progress | None, begin: float | None) -> Beginning | None:
    """Where to begin: where it ended, or at `begin` when that is earlier."""
    if known is None:
        return origin.beginning(0.0)
    at = known.next_at if begin is None else min(begin, known.next_at)
    return origin.beginning(at, known)


def _bounded(work: Work, connection: Connection) -> None:
    """The work, and no more rows than a database in memory keeps."""
    work(connection)
    for table, rows in _IN_MEMORY.items():
        keep_newest(connection, table, rows)


def _place(connection: Connection, names: Sequence[str]) -> None:
    place(connection, names)
