"""Whether every value that was due is there, or the reason why not.

For each topic and each tick that its schedule owes there must be exactly one of a value and a gap.
The count reads the tables alone and knows nothing of how they were written.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine, Row, select

from emdc.reading import Value
from emdc.storage import downtime
from emdc.storage.columns import Values
from emdc.storage.database import connected, dialect_of
from emdc.storage.instants import (
    first_tick,
    from_microseconds,
    from_text,
    step_of,
    to_microseconds,
    to_text,
)
from emdc.storage.schema import gaps, meters, readings, schedules

DELETED: Final = "retention"
"""Reason of a range whose readings were deleted on purpose: nothing is due in it any more."""

_EXAMPLES: Final = 10
_ROWS_AT_ONCE: Final = 1000
_SNAPSHOT: Final[Mapping[str, dict[str, Any]]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ"}
}
"""Where another level is the default: all questions about a meter see the same moment."""

_Row: TypeAlias = Row[*tuple[Any, ...]]

_numbers: Final = msgspec.json.Decoder(list[int])
_reasons: Final = msgspec.json.Decoder(dict[str, list[int]])


@dataclass(slots=True)
class Conservation:
    """Counts of (topic, due tick); due = values + gaps + missing + doubled."""

    due: int = 0
    values: int = 0
    """There is a value and no gap."""
    gaps: int = 0
    """There is one gap and no value."""
    missing: int = 0
    """There is neither."""
    doubled: int = 0
    """There is a value and a gap, or more than one gap."""
    strays: int = 0
    """Scheduled readings at instants that are no tick of the meter's schedule."""
    pending: int = 0
    """Of the missing, those after all that is recorded of their meter: a collector that runs is
    about to write them, the next start of one that does not will say why they are not there."""
    silent: dict[str, str] = field(default_factory=dict)
    """Meters with pending ones, and the first such tick of each."""
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of each meter with gaps, how many have which reason."""
    examples: list[str] = field(default_factory=list)
    """The first few faults, one line each; pending ones are none."""

    @property
    def holds(self) -> bool:
        """Whether nothing is missing, doubled or astray."""
        return not (self.missing or self.doubled or self.strays)

    @property
    def lost(self) -> int:
        """The missing ones that nobody will account for any more."""
        return self.missing - self.pending

    def explain(self, meter: str, reason: str) -> None:
        """Count a gap."""
        self.gaps += 1
        counts = self.reasons.setdefault(meter, {})
        counts[reason] = counts.get(reason, 0) + 1

    def fault(self, what: str, meter: str, ts: str, slots: Sequence[int]) -> None:
        """Keep an example."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{what}: {meter} at {ts}, slots {', '.join(map(str, slots))}")


def conservation(engine: Engine, *, until: datetime, since: datetime | None = None) -> Conservation:
    """Count every topic and tick that was due from `since` (the beginning) until `until`.

    What `emdc retention` deleted is not counted. One meter is one consistent view. Raises
    StorageError when the database fails.
    """
    result = Conservation()
    with connected(engine) as connection:
        query = select(meters.c.meter_id, meters.c.name).order_by(meters.c.meter_id)
        names = connection.execute(query).all()
    for meter_id, name in names:
        with connected(engine, **_SNAPSHOT.get(engine.dialect.name, {})) as connection:
            walk = _Walk(name, to_text(since) if since else "", to_text(until))
            _count_meter(connection, meter_id, result, walk)
    return result


@dataclass(slots=True)
class _Walk:
    meter: str
    since: str
    until: str


class _Reading(NamedTuple):
    ts: str
    values: Values
    gaps: str | None


def _count_meter(connection: Connection, meter_id: int, result: Conservation, walk: _Walk) -> None:
    """Walk along the meter's due ticks, its rows and its gap ranges, all in order of time."""
    ranges = _ranges(connection, meter_id)
    deleted = [row.to_ts for row in ranges if row.reason == DELETED]
    walk.since = max([walk.since, *deleted])
    known = (downtime.known(connection, meter_id), downtime.mark(connection, meter_id))
    recorded = max((to_text(at) for at in known if at), default="")
    groups = _schedules(connection, meter_id)
    _count_pending(result, replace(walk, since=max(walk.since, recorded)), groups)
    walk.until = min(walk.until, max(recorded, walk.since))
    covers = _Covers([row for row in ranges if row.reason != DELETED])
    # Last of all questions: while its rows stream, some drivers answer no other.
    rows = _rows(connection, meter_id, walk)
    row = next(rows, None)
    for ts, slots in _due(groups, walk):
        while row is not None and row.ts < ts:
            _stray(result, walk.meter, row)
            row = next(rows, None)
        mine = row if row is not None and row.ts == ts else None
        _count_tick(result, (walk, ts, slots), mine, covers.reasons(ts))
        if mine is not None:
            row = next(rows, None)
    while row is not None:
        _stray(result, walk.meter, row)
        row = next(rows, None)


class _Covers:
    """Which ranges cover a tick; asked in order of time."""

    def __init__(self, ranges: Sequence[_Row]) -> None:
        self._upcoming = iter(ranges)
        self._following = next(self._upcoming, None)
        self._open: list[_Row] = []

    def reasons(self, ts: str) -> list[str]:
        """Those of the ranges with from_ts ≤ ts < to_ts."""
        while self._following is not None and self._following.from_ts <= ts:
            self._open.append(self._following)
            self._following = next(self._upcoming, None)
        if self._open:
            self._open = [row for row in self._open if row.to_ts > ts]
        return [row.reason for row in self._open]


def _ranges(connection: Connection, meter_id: int) -> Sequence[_Row]:
    table = gaps.c
    return connection.execute(
        select(table.from_ts, table.to_ts, table.reason)
        .where(table.meter_id == meter_id, table.from_ts < table.to_ts)
        .order_by(table.from_ts)
    ).all()


def _rows(connection: Connection, meter_id: int, walk: _Walk) -> Iterator[_Reading]:
    dialect, table = dialect_of(connection), readings.c
    query = (
        select(table.ts, table.gaps, *dialect.value_columns)
        .where(table.meter_id == meter_id, table.scheduled, table.ts < walk.until)
        .order_by(table.ts)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    if walk.since:
        query = query.where(table.ts >= walk.since)
    for row in connection.execute(query):
        yield _Reading(row.ts, dialect.values(row), row.gaps)


def _schedules(connection: Connection, meter_id: int) -> list[list[_Row]]:
    """The meter's schedules, those of one interval together and in order of time."""
    query = select(schedules).where(schedules.c.meter_id == meter_id).order_by(schedules.c.from_ts)
    groups: dict[float, list[_Row]] = {}
    for row in connection.execute(query):
        groups.setdefault(row.interval_s, []).append(row)
    return list(groups.values())


def _due(groups: Sequence[Sequence[_Row]], walk: _Walk) -> Iterator[tuple[str, list[int]]]:
    """(tick, slots that it owes) in order of time, slots of all intervals together."""
    tick, together = "", list[int]()
    for ts, slots in heapq.merge(*(_ticks(rows, walk) for rows in groups)):
        if ts != tick and together:
            yield tick, together
            together = []
        tick, together = ts, together + slots if together else slots
    if together:
        yield tick, together


def _count_pending(result: Conservation, walk: _Walk, groups: Sequence[Sequence[_Row]]) -> None:
    """Count the ticks of a walk along which nothing is recorded: there may be years of them."""
    firsts = []
    for start, stop, step, slots in (span for rows in groups for span in _spans(rows, walk)):
        pending = len(slots) * len(range(start, stop, step))
        result.due += pending
        result.missing += pending
        result.pending += pending
        if pending:
            firsts.append(start)
    if firsts:
        result.silent[walk.meter] = to_text(from_microseconds(min(firsts)))


def _ticks(rows: Sequence[_Row], walk: _Walk) -> Iterator[tuple[str, list[int]]]:
    """The ticks of one interval with the slots in force at each."""
    for start, stop, step, slots in _spans(rows, walk):
        for at in range(start, stop, step):
            yield to_text(from_microseconds(at)), slots


def _spans(rows: Sequence[_Row], walk: _Walk) -> Iterator[tuple[int, int, int, list[int]]]:
    """First tick, end and step in microseconds since 1970, with the slots in force."""
    ends = [*(row.from_ts for row in rows[1:]), walk.until]
    for row, end in zip(rows, ends, strict=True):
        slots = _numbers.decode(row.slots)
        if not slots:
            continue
        begin = from_text(max(row.from_ts, walk.since))
        start = to_microseconds(first_tick(begin, row.interval_s))
        stop = to_microseconds(from_text(min(end, walk.until)))
        yield start, stop, step_of(row.interval_s), slots


def _count_tick(
    result: Conservation, due: tuple[_Walk, str, list[int]], row: _Reading | None, ranges: list[str]
) -> None:
    walk, ts, slots = due
    result.due += len(slots)
    values = row.values if row is not None else []
    if row is not None and row.gaps is None and not ranges and _is_all(values, slots):
        result.values += len(slots)
        return
    gapped: dict[int, list[str]] = {}
    for reason, group in (_reasons.decode(row.gaps) if row and row.gaps else {}).items():
        for slot in group:
            gapped.setdefault(slot, []).append(reason)
    faults: dict[str, list[int]] = {"missing": [], "doubled": []}
    for slot in slots:
        has_value = slot < len(values) and values[slot] is not None
        reasons = [*ranges, *gapped.get(slot, ())]
        if has_value + len(reasons) != 1:
            faults["doubled" if has_value or reasons else "missing"].append(slot)
        elif has_value:
            result.values += 1
        else:
            result.explain(walk.meter, reasons[0])
    result.missing += len(faults["missing"])
    result.doubled += len(faults["doubled"])
    for what, at_fault in faults.items():
        if at_fault:
            result.fault(what, walk.meter, ts, at_fault)


def _is_all(values: Sequence[Value], slots: Sequence[int]) -> bool:
    """Whether `slots` are all places of `values`, and each holds one; slots are distinct."""
    return len(values) == len(slots) == max(slots) + 1 and None not in values


def _stray(result: Conservation, meter: str, row: _Reading) -> None:
    result.strays += 1
    result.fault("no tick", meter, row.ts, [])
