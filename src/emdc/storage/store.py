"""Readings and gaps into the database, one transaction a call, each key once.

Used by the recorder's thread alone. What the database refuses for good is handed back with the
reason and recorded as a gap; any other failure leaves nothing behind, and the call can be repeated.
"""

import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, select, tuple_
from sqlalchemy.exc import DBAPIError

from emdc.errors import StorageError
from emdc.reading import Gap, MeterReading, Value
from emdc.storage import downtime
from emdc.storage.columns import Values
from emdc.storage.database import DIALECTS, is_memory
from emdc.storage.engines.dialect import GapRow, refuses_row
from emdc.storage.engines.sqlite import IMMEDIATE, keep_newest
from emdc.storage.instants import MICROSECOND, from_text, to_microseconds, to_text
from emdc.storage.lateness import reopen_new
from emdc.storage.layout import MeterLayout, ReadingRow
from emdc.storage.schema import gaps, readings
from emdc.storage.spool.backlog import Entry
from emdc.storage.urls import reason

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_KEYS: Final = 500
"""Keys in one question; SQLite takes 32,766 parameters."""
_values: Final = msgspec.json.Decoder(list[Value])

_MANY: Final = 10
"""When so many rows are refused and none is taken, it is the database that is not as it should be,
and not the rows: they had better wait."""
_SHOWN_CHARS: Final = 200
"""Of a row's values in the log: a meter may have thousands."""


@dataclass(slots=True)
class Outcome:
    """What became of one call's entries."""

    stored: int = 0
    """Readings that are new in the database."""
    conflicts: int = 0
    """Readings whose key was there with other values, which stay."""
    trimmed: int = 0
    """Old readings that a database in memory had to drop."""
    refused: dict[int, str] = field(default_factory=dict)
    """Position of an entry that cannot be stored → why."""


@dataclass(slots=True)
class _Batch:
    """What one call's entries come to."""

    made_until: str
    """Of readings before it, quarter hours may be made already."""
    late: dict[int, str] = field(default_factory=dict)
    """Meter → its first reading before that."""
    rows: dict[int, ReadingRow] = field(default_factory=dict)
    """By position of the entry."""
    gaps: list[GapRow] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)


class Store:
    """The one writing connection.

    `meters` are the layouts that `registry.owe` gave, by meter. A database in memory keeps
    `memory_limit` readings. `made_until` is asked before each transaction for the instant before
    which quarter hours may be made; where a reading is older they are made again.
    """

    def __init__(
        self,
        engine: Engine,
        meters: Mapping[str, MeterLayout],
        *,
        memory_limit: int,
        made_until: Callable[[], str] = str,
    ) -> None:
        self._engine = engine
        self._meters = meters
        self._dialect = DIALECTS[engine.dialect.name]
        self._memory_limit = memory_limit if is_memory(engine) else None
        self._made_until = made_until
        self._connection: Connection | None = None

    def knows(self, entries: Sequence[Entry]) -> bool:
        """Whether all of their meters and metrics have their places."""
        plans = {(e.meter, e.metrics if isinstance(e, MeterReading) else ()) for e in entries}
        return all(
            (layout := self._meters.get(meter)) is not None and layout.knows(metrics)
            for meter, metrics in plans
        )

    def add(self, meters: Mapping[str, MeterLayout]) -> None:
        """Let these be known too."""
        self._meters = {**self._meters, **meters}

    def commit(self, entries: Sequence[Entry]) -> Outcome:
        """Store entries durably; those that were stored before are left alone.

        Raises SQLAlchemyError when the database fails; then nothing was stored.
        """
        try:
            return self._commit(entries, one_by_one=False)
        except DBAPIError as error:
            if not refuses_row(error):
                raise
            return self._commit(entries, one_by_one=True)

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` gives, in a transaction of its own on the one writing connection."""
        with self._transaction() as connection:
            return work(connection)

    def mark_stop(self, now: datetime) -> None:
        """Leave the mark of a clean stop."""
        with self._transaction() as connection:
            mine = {layout.meter_id for layout in self._meters.values()}
            downtime.mark_stop(connection, now, mine)

    def close(self, *, broken: bool = False) -> None:
        """Give the connection back; a broken one is closed for good, the next call opens another.

        After a failed write to disk the state of the old one is not known.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            if broken:
                connection.invalidate()
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._memory_limit is not None:
            # Readers share this one connection, so it is held no longer than needed.
            with self._engine.connect() as shared:
                shared.execution_options(**{IMMEDIATE: True})
                with shared.begin():
                    yield shared
            return
        if self._connection is None:
            # Kept for good: it is the only one that ever resets the write-ahead log.
            self._connection = self._engine.connect().execution_options(**{IMMEDIATE: True})
        with self._connection.begin():
            self._dialect.writing(self._connection)
            yield self._connection

    def _commit(self, entries: Sequence[Entry], *, one_by_one: bool) -> Outcome:
        batch = _Batch(self._made_until())
        outcome = batch.outcome
        with self._transaction() as connection:
            coming = self._rows(entries, batch)
            if one_by_one:
                self._insert_one_by_one(connection, coming, batch)
            else:
                # As they are made: a server takes in the first while the next ones are rounded.
                outcome.stored += self._dialect.insert_readings(connection, coming)
                if outcome.stored < len(batch.rows):
                    self._compare(connection, list(batch.rows.values()), outcome)
            owed = (entries[i] for i in outcome.refused if self._owes(entries[i]))
            self._dialect.insert_gaps(connection, [*batch.gaps, *map(self._gap_of, owed)])
            if batch.late:
                reopen_new(connection, batch.late)
            if self._memory_limit is not None:
                outcome.trimmed = keep_newest(connection, readings.name, self._memory_limit)
                keep_newest(connection, gaps.name, self._memory_limit)
        return outcome

    def _rows(self, entries: Sequence[Entry], batch: "_Batch") -> Iterator[ReadingRow]:
        """The rows of the readings; what else there is of the entries is in `batch` at the end."""
        for index, entry in enumerate(entries):
            layout = self._meters.get(entry.meter)
            if layout is None:
                batch.outcome.refused[index] = f"meter {entry.meter} is not registered"
            elif isinstance(entry, Gap):
                ends = (to_text(entry.from_ts), to_text(entry.to_ts))
                batch.gaps.append((layout.meter_id, *ends, entry.reason))
            else:
                try:
                    row = _off_the_grid(layout, entry, layout.row(entry))
                except StorageError as error:
                    batch.outcome.refused[index] = str(error)
                else:
                    batch.rows[index] = row
                    if row.ts < batch.made_until:
                        batch.late[row.meter_id] = min(batch.late.get(row.meter_id, row.ts), row.ts)
                    yield row

    def _insert_one_by_one(
        self, connection: Connection, coming: Iterator[ReadingRow], batch: "_Batch"
    ) -> None:
        """Raises what the database says of the last when it refuses every one of many."""
        for _ in coming:
            pass  # all of them, into the batch
        for index, row in batch.rows.items():
            try:
                with connection.begin_nested():
                    new = self._dialect.insert_readings(connection, [row])
                    batch.outcome.stored += new
                    if not new:
                        self._compare(connection, [row], batch.outcome)
            except DBAPIError as error:
                if not refuses_row(error):
                    raise
                batch.outcome.refused[index] = reason(error)
                if len(batch.rows) >= _MANY and len(batch.outcome.refused) == len(batch.rows):
                    raise

    def _compare(
        self, connection: Connection, rows: Sequence[ReadingRow], outcome: Outcome
    ) -> None:
        """Look what lies at the rows' keys: themselves, or other readings, which stay."""
        found = self._stored(connection, rows)
        for row in rows:
            before = found.get((row.meter_id, row.ts))
            if before is None or _same(before, row):
                continue
            if not row.scheduled:
                outcome.stored += self._insert_later(connection, row)
                continue
            outcome.conflicts += 1
            kept, new = str(before[0])[:_SHOWN_CHARS], row.vals[:_SHOWN_CHARS]
            facts = {"meter_id": row.meter_id, "tick": row.ts, "kept": kept, "new": new}
            log.warning("reading differs from the stored one", extra=facts)

    def _insert_later(self, connection: Connection, row: ReadingRow) -> int:
        """Store a manual reading in the first free microsecond; 0 when it is found on the way."""
        at = from_text(row.ts)
        for step in itertools.count(1):
            moved = row._replace(ts=to_text(at + step * MICROSECOND))
            before = self._stored(connection, [moved]).get((moved.meter_id, moved.ts))
            if before is None:
                return self._dialect.insert_readings(connection, [moved])
            if _same(before, moved):
                break
        return 0

    def _stored(
        self, connection: Connection, rows: Sequence[ReadingRow]
    ) -> dict[tuple[int, str], tuple[Values, str | None]]:
        """Values and gaps of what lies at the keys of these rows."""
        table = readings.c
        columns = (table.meter_id, table.ts, table.gaps, *self._dialect.value_columns)
        key = tuple_(table.meter_id, table.ts)
        found = {}
        for start in range(0, len(rows), _KEYS):
            keys = [(row.meter_id, row.ts) for row in rows[start : start + _KEYS]]
            for row in connection.execute(select(*columns).where(key.in_(keys))):
                found[row.meter_id, row.ts] = (self._dialect.values(row), row.gaps)
        return found

    def _owes(self, entry: Entry) -> bool:
        return isinstance(entry, MeterReading) and entry.scheduled and entry.meter in self._meters

    def _gap_of(self, entry: Entry) -> GapRow:
        assert isinstance(entry, MeterReading)
        ends = (to_text(entry.tick), to_text(entry.tick + MICROSECOND))
        return (self._meters[entry.meter].meter_id, *ends, "poison_row")


def _off_the_grid(layout: MeterLayout, reading: MeterReading, row: ReadingRow) -> ReadingRow:
    """The row of a manual reading, moved when its instant belongs to a tick of the schedule."""
    if reading.scheduled or not layout.is_tick(to_microseconds(reading.tick)):
        return row
    return row._replace(ts=to_text(reading.tick + MICROSECOND))


def _same(before: tuple[Values, str | None], row: ReadingRow) -> bool:
    """Whether a stored reading says what the new one says; 7 and 7.0 are the same."""
    return before[1] == row.gaps and before[0] == _values.decode(row.vals)
