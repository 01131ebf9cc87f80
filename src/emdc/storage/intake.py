"""Values that come from a file into the database, where some of them may be already.

What is there stays: a value that is equal changes nothing, another one is counted as a conflict.
Values come in any order and are written some ten thousand a transaction, each whole or not at all.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine, select

from emdc.reading import Value
from emdc.storage.database import DIALECTS, connected
from emdc.storage.instants import MICROSECOND, from_text, to_text
from emdc.storage.merge import Keep, Merged, merge
from emdc.storage.old_samples import LeftOut, OldSamples, old_samples
from emdc.storage.places import Place, place
from emdc.storage.schema import meta, readings, topics

AT_ONCE: Final = 50_000
"""Values in one transaction: a quarter of a second, in which others wait to write."""
_ROWS_AT_ONCE: Final = 10_000
"""Rows that are looked through at once for those that a few values fall on."""

Rows: TypeAlias = dict[str, dict[int, Value]]
"""Values by slot, by instant."""


class NewValue(NamedTuple):
    """One line of a file."""

    ts: str
    topic: str
    value: Value


@dataclass(frozen=True, slots=True)
class Known:
    """What the database says of its topics before an import."""

    names: frozenset[str]
    texts: frozenset[str]
    """Those whose values are texts."""


def known(engine: Engine) -> Known:
    """The topics that are there."""
    query = select(topics.c.topic_name, meta.c.metadata).outerjoin(
        meta, meta.c.topic_id == topics.c.topic_id
    )
    with connected(engine) as connection:
        rows = connection.execute(query).all()
    texts = frozenset(name for name, about in rows if _is_text(about))
    return Known(frozenset(name for name, _ in rows), texts)


class _UndoneError(Exception):
    """Ends a transaction that nothing shall come of."""


@dataclass(slots=True)
class Intake:
    """Values into a database, for `names`, which get their slots in this order.

    `read_at` is when they came. With `dry` all is tried and nothing is kept.
    """

    engine: Engine
    names: Sequence[str]
    read_at: str
    dry: bool = False
    total: Merged = field(default_factory=Merged)
    _waiting: list[NewValue] = field(default_factory=list)
    _places: Mapping[str, Place] = field(default_factory=dict)
    _old: OldSamples | None = None

    def open(self) -> None:
        """Find or create the topics. Raises ConfigError, StorageError."""
        old = old_samples(self.engine)
        self._old = old if old is not None and old.zone is not None else None
        if self.dry:
            return
        with _registering(self.engine) as connection:
            self._places = place(connection, self.names)

    def add(self, value: NewValue) -> int:
        """Take a value; gives how many were written by the way, mostly none."""
        self._waiting.append(value)
        return self.flush() if len(self._waiting) >= AT_ONCE else 0

    def flush(self) -> int:
        """Write what waits; gives how many values that were."""
        merged = Merged()
        with suppress(_UndoneError), self._transaction() as connection:
            places = place(connection, self.names) if self.dry else self._places
            merged = self._write(connection, places)
            if self.dry:
                raise _UndoneError
        self.total = _added([self.total, merged])
        count = len(self._waiting)
        self._waiting.clear()
        return count

    def _write(self, connection: Connection, places: Mapping[str, Place]) -> Merged:
        meters: dict[int, tuple[Rows, dict[int, int]]] = {}
        unchanged = conflicts = 0
        for ts, topic, value in self._waiting:
            where = places[topic]
            rows, slots = meters.setdefault(where.meter_id, ({}, {}))
            slots[where.topic_id] = where.slot
            row = rows.setdefault(ts, {})
            if where.slot in row:
                same = row[where.slot] == value
                unchanged, conflicts = unchanged + same, conflicts + (not same)
            else:
                row[where.slot] = value
        parts = [self._merge(connection, meter_id, *found) for meter_id, found in meters.items()]
        return _added([Merged(unchanged=unchanged, conflicts=conflicts), *parts])

    def _merge(
        self, connection: Connection, meter_id: int, rows: Rows, slots: dict[int, int]
    ) -> Merged:
        there = self._without_old(rows, slots)
        policy = Keep(_beside(self.read_at, rows))
        parts = list(_runs(connection, meter_id, rows))
        return _added([there, *(merge(connection, meter_id, p, policy=policy) for p in parts)])

    def _without_old(self, rows: Rows, slots: dict[int, int]) -> Merged:
        """Take out of `rows` what a row of the old collector has already."""
        if self._old is None:
            return Merged()
        unchanged = conflicts = 0
        span = (min(rows), to_text(from_text(max(rows)) + MICROSECOND))
        for ts, values in self._old.ticks(list(slots), span, LeftOut()):
            row = rows.get(ts, {})
            for topic_id, old in values.items():
                if slots[topic_id] in row:
                    same = row.pop(slots[topic_id]) == old
                    unchanged, conflicts = unchanged + same, conflicts + (not same)
        for ts in [ts for ts, row in rows.items() if not row]:
            del rows[ts]
        return Merged(unchanged=unchanged, conflicts=conflicts)

    def _transaction(self) -> AbstractContextManager[Connection]:
        """One in which topics may be made, where they are made anew each time."""
        return _registering(self.engine) if self.dry else connected(self.engine, write=True)


@contextmanager
def _registering(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction, while no other process adds topics."""
    with DIALECTS[engine.dialect.name].alone(engine), connected(engine, write=True) as connection:
        yield connection


def _runs(connection: Connection, meter_id: int, rows: Rows) -> Iterator[Rows]:
    """The rows in portions, each with few rows of the database between its first and last.

    A value a day would otherwise load all that was recorded between.
    """
    instants = sorted(rows)
    mine = readings.c.meter_id == meter_id
    while instants:
        query = select(readings.c.ts).where(mine, readings.c.ts >= instants[0])
        last = connection.execute(
            query.order_by(readings.c.ts).limit(1).offset(_ROWS_AT_ONCE)
        ).scalar()
        count = len(instants) if last is None else bisect_right(instants, last)
        yield {ts: rows[ts] for ts in instants[:count]}
        instants = instants[count:]


def _added(parts: Sequence[Merged]) -> Merged:
    return Merged(*(sum(column) for column in zip(Merged(), *parts, strict=True)))


def _beside(read_at: str, rows: Rows) -> str:
    """An instant that no row has: equal ones mark made-up values."""
    while read_at in rows:
        read_at = to_text(from_text(read_at) + MICROSECOND)
    return read_at


def _is_text(about: str | None) -> bool:
    try:
        found = msgspec.json.decode(about or "{}")
    except msgspec.MsgspecError:
        return False
    return isinstance(found, dict) and found.get("type") == "string"
