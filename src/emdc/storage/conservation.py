"""Whether every value that was due is there, or the reason why not.

For each topic and each tick that its schedule owes there must be exactly one of a value and a gap.
The count reads the tables alone and knows nothing of how they were written.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine, Row, select

from emdc.reading import Value
from emdc.storage.database import connected
from emdc.storage.instants import (
    first_tick,
    from_microseconds,
    from_text,
    step_of,
    to_microseconds,
    to_text,
)
from emdc.storage.schema import gaps, meters, readings, schedules

_EXAMPLES: Final = 10

_Row: TypeAlias = Row[*tuple[Any, ...]]

_numbers: Final = msgspec.json.Decoder(list[int])
_values: Final = msgspec.json.Decoder(list[Value])
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
    examples: list[str] = field(default_factory=list)
    """The first few faults, one line each."""

    @property
    def holds(self) -> bool:
        """Whether nothing is missing, doubled or astray."""
        return not (self.missing or self.doubled or self.strays)

    def fault(self, what: str, meter: str, ts: str, slots: Sequence[int]) -> None:
        """Keep an example."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{what}: {meter} at {ts}, slots {', '.join(map(str, slots))}")


def conservation(engine: Engine, *, until: datetime) -> Conservation:
    """Count every topic and tick that was due before `until`, in one consistent view.

    Raises StorageError when the database fails.
    """
    result = Conservation()
    with connected(engine) as connection:
        names = connection.execute(select(meters.c.meter_id, meters.c.name)).all()
        for meter_id, name in names:
            _count_meter(connection, meter_id, result, _Walk(name, to_text(until)))
    return result


@dataclass(slots=True)
class _Walk:
    meter: str
    until: str


def _count_meter(connection: Connection, meter_id: int, result: Conservation, walk: _Walk) -> None:
    """Walk along the meter's due ticks, its rows and its gap ranges, all in order of time."""
    rows = _rows(connection, meter_id, walk.until)
    ranges = connection.execute(
        select(gaps.c.from_ts, gaps.c.to_ts)
        .where(gaps.c.meter_id == meter_id, gaps.c.from_ts < gaps.c.to_ts)
        .order_by(gaps.c.from_ts)
    ).all()
    covering: list[str] = []
    upcoming = iter([*ranges, None])
    following = next(upcoming)
    row = next(rows, None)
    for ts, slots in _due(connection, meter_id, walk.until):
        while row is not None and row.ts < ts:
            _stray(result, walk.meter, row)
            row = next(rows, None)
        while following is not None and following.from_ts <= ts:
            covering.append(following.to_ts)
            following = next(upcoming)
        covering = [to_ts for to_ts in covering if to_ts > ts]
        mine = row if row is not None and row.ts == ts else None
        _count_tick(result, (walk.meter, ts, slots), mine, len(covering))
        if mine is not None:
            row = next(rows, None)
    while row is not None:
        _stray(result, walk.meter, row)
        row = next(rows, None)


def _rows(connection: Connection, meter_id: int, until: str) -> Iterator[_Row]:
    query = (
        select(readings.c.ts, readings.c.vals, readings.c.gaps)
        .where(readings.c.meter_id == meter_id, readings.c.scheduled, readings.c.ts < until)
        .order_by(readings.c.ts)
    )
    yield from connection.execute(query)


def _due(connection: Connection, meter_id: int, until: str) -> Iterator[tuple[str, list[int]]]:
    """(tick, slots that it owes) in order of time, slots of all intervals together."""
    query = select(schedules).where(schedules.c.meter_id == meter_id).order_by(schedules.c.from_ts)
    groups: dict[float, list[_Row]] = {}
    for row in connection.execute(query):
        groups.setdefault(row.interval_s, []).append(row)
    tick, together = "", list[int]()
    for ts, slots in heapq.merge(*(_ticks(rows, until) for rows in groups.values())):
        if ts != tick and together:
            yield tick, together
            together = []
        tick, together = ts, together + slots if together else slots
    if together:
        yield tick, together


def _ticks(rows: Sequence[_Row], until: str) -> Iterator[tuple[str, list[int]]]:
    """The ticks of one interval with the slots in force at each."""
    ends = [*(row.from_ts for row in rows[1:]), until]
    for row, end in zip(rows, ends, strict=True):
        slots = _numbers.decode(row.slots)
        if not slots:
            continue
        step = step_of(row.interval_s)
        start = to_microseconds(first_tick(from_text(row.from_ts), row.interval_s))
        stop = to_microseconds(from_text(min(end, until)))
        for at in range(start, stop, step):
            yield to_text(from_microseconds(at)), slots


def _count_tick(
    result: Conservation, due: tuple[str, str, list[int]], row: _Row | None, ranges: int
) -> None:
    meter, ts, slots = due
    result.due += len(slots)
    values = _values.decode(row.vals) if row is not None else []
    if row is not None and row.gaps is None and not ranges and _is_all(values, slots):
        result.values += len(slots)
        return
    reasons = _reasons.decode(row.gaps) if row is not None and row.gaps else {}
    gapped = [slot for group in reasons.values() for slot in group]
    faults: dict[str, list[int]] = {"missing": [], "doubled": []}
    for slot in slots:
        has_value = slot < len(values) and values[slot] is not None
        reasons_given = gapped.count(slot) + ranges
        if has_value + reasons_given == 1:
            result.values += has_value
            result.gaps += reasons_given
        else:
            faults["doubled" if has_value or reasons_given else "missing"].append(slot)
    result.missing += len(faults["missing"])
    result.doubled += len(faults["doubled"])
    for what, at_fault in faults.items():
        if at_fault:
            result.fault(what, meter, ts, at_fault)


def _is_all(values: Sequence[Value], slots: Sequence[int]) -> bool:
    """Whether `slots` are all places of `values`, and each holds one; slots are distinct."""
    return len(values) == len(slots) == max(slots) + 1 and None not in values


def _stray(result: Conservation, meter: str, row: _Row) -> None:
    result.strays += 1
    result.fault("no tick", meter, row.ts, [])
