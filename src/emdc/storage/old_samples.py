"""The rows of the old collector as samples in UTC, in order of time.

On SQLite their times are local text, which the zone of `data_old_zone` makes instants: an hour that
the clock had twice counts as the first, and a time that it skipped as if it had not been set yet.
On MySQL they are instants. Where the zone was left open they have no instant and are only counted.
"""

import heapq
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    func,
    inspect,
    select,
    text,
)

from emdc.numerals import is_too_large, number
from emdc.reading import Value
from emdc.storage.columns import Instant
from emdc.storage.database import connected
from emdc.storage.instants import from_text, to_text
from emdc.storage.old_rows import KEEP

_ROWS_AT_ONCE: Final = 5000
_MARGIN: Final = timedelta(days=2)
"""More than any zone is away from UTC."""
_INSTANTS: Final = frozenset({"mysql", "mariadb"})
"""Engines whose TIMESTAMP is an instant."""

_tables = MetaData()
# Any time type compares with UTC text by `Instant`; a local time keeps its digits that way.
_data_old: Final = Table(
    "data_old",
    _tables,
    Column("ts", Instant),
    Column("topic_id", Integer),
    Column("value_string", Text),
)
_data_old_zone: Final = Table("data_old_zone", _tables, Column("zone", String(64)))


class OldSample(NamedTuple):
    """One row; `value` is the number that its text spells, or the text."""

    ts: str
    topic_id: int
    value: Value


@dataclass(slots=True)
class LeftOut:
    """Rows of the old collector that are no part of what was given."""

    open_zone: int = 0
    """Nobody has said what their times mean."""
    unreadable: int = 0
    """Their time is none."""
    doubled: int = 0
    """Another value of their topic has their instant."""


@dataclass(frozen=True, slots=True)
class OldSamples:
    """What lies in `data_old`."""

    engine: Engine
    zone: ZoneInfo | None
    """None: left open."""

    def count(self, topic_ids: Collection[int]) -> int:
        """Rows of these topics."""
        query = select(func.count()).select_from(_data_old)
        with connected(self.engine) as connection:
            return int(connection.execute(query.where(_is_of(topic_ids))).scalar_one())

    def ticks(
        self, topic_ids: Collection[int], span: tuple[str, str], left: LeftOut
    ) -> Iterator[tuple[str, Mapping[int, Value]]]:
        """(UTC, value by topic) for start ≤ UTC < end in order of time; an empty end is none.

        The zone is known. What cannot be given is counted in `left`.
        """
        for ts, rows in groupby(self._samples(topic_ids, span, left), key=itemgetter(0)):
            values: dict[int, Value] = {}
            for row in rows:
                left.doubled += row.topic_id in values
                values.setdefault(row.topic_id, row.value)
            yield ts, values

    def _samples(
        self, topic_ids: Collection[int], span: tuple[str, str], left: LeftOut
    ) -> Iterator[OldSample]:
        start, end = span
        skipped: list[tuple[str, int, OldSample]] = []
        for row in self._rows(topic_ids, span):
            instant = self._instant(row.ts)
            if instant is None:
                left.unreadable += 1
                continue
            ts, exists = instant
            if ts < start or (end and ts >= end):
                continue
            sample = OldSample(ts, row.topic_id, _value(row.value_string))
            if not exists:
                # Their instants come after those of some rows that follow.
                heapq.heappush(skipped, (ts, len(skipped), sample))
                continue
            while skipped and skipped[0][0] <= ts:
                yield heapq.heappop(skipped)[-1]
            yield sample
        while skipped:
            yield heapq.heappop(skipped)[-1]

    def _instant(self, ts: str) -> tuple[str, bool] | None:
        """UTC, and whether the zone's clock ever showed that time."""
        try:
            local = datetime.fromisoformat(ts)
            if self.engine.dialect.name in _INSTANTS:
                return to_text(local.replace(tzinfo=UTC)), True
            there = local.replace(tzinfo=self.zone)
            at = there.astimezone(UTC)
        except (ValueError, OverflowError):
            return None
        return to_text(at), at.astimezone(self.zone).replace(tzinfo=None) == local

    def _rows(self, topic_ids: Collection[int], span: tuple[str, str]) -> Iterator[Row[Any]]:
        """Rows whose times may lie in the span, page by page, so that no query is open for long."""
        start, end = span
        ts, topic_id = _data_old.c.ts, _data_old.c.topic_id
        query = select(_data_old).where(_is_of(topic_ids)).order_by(ts, topic_id)
        if end:
            query = query.where(ts < _moved(end, _MARGIN))
        page = query.where(ts >= _moved(start, -_MARGIN)) if start else query
        while True:
            with connected(self.engine) as connection:
                rows = connection.execute(page.limit(_ROWS_AT_ONCE)).all()
            yield from rows
            if len(rows) < _ROWS_AT_ONCE:
                return
            last = rows[-1]
            page = query.where(ts >= last.ts, (ts > last.ts) | (topic_id > last.topic_id))


def old_samples(engine: Engine) -> OldSamples | None:
    """What the old collector left; None when that is nothing."""
    with connected(engine) as connection:
        if not inspect(connection).has_table(_data_old.name):
            return None
        zone = _zone(connection)
    return OldSamples(engine, None if zone in {None, KEEP} else ZoneInfo(str(zone)))


def _zone(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_data_old_zone.name):
        return None
    return connection.execute(select(_data_old_zone.c.zone)).scalar()


def _is_of(topic_ids: Collection[int]) -> Any:
    # The sum keeps planners from the index on topics, after which all would have to be sorted.
    return (_data_old.c.topic_id + text("0")).in_(list(topic_ids))


def _moved(ts: str, by: timedelta) -> str:
    try:
        return to_text(from_text(ts) + by)
    except OverflowError:
        return ts


def _value(stored: str) -> Value:
    value = number(stored)
    return stored if value is None or is_too_large(value) else value
