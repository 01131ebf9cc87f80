"""Samples by topic into rows of readings, where there may be rows already.

Used where values come from elsewhere than a meter: sample data, files of other programs. One chunk
of the samples of one meter at a time, in the transaction of the caller; `places` says which slots
they have. New rows are not scheduled. A made-up row has `read_at` equal to its instant, which no
answer of a meter can have: rows that differ, and scheduled ones, are measured, and made-up values
never replace or enter them.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, delete, or_, select

from emdc.errors import ConfigError, StorageError
from emdc.numerals import MAX_EXACT_INT
from emdc.reading import Value
from emdc.storage.columns import Values
from emdc.storage.database import dialect_of
from emdc.storage.instants import MICROSECOND, from_text, step_of, to_microseconds, to_text
from emdc.storage.lateness import reopen
from emdc.storage.layout import ReadingRow
from emdc.storage.schema import readings, schedules

_DELETED_AT_ONCE: Final = 500
_FETCHED_AT_ONCE: Final = 10_000

_encode: Final = msgspec.json.Encoder().encode
_encode_lines: Final = msgspec.json.Encoder().encode_lines
_reasons: Final = msgspec.json.Decoder(dict[str, list[int]]).decode

Samples: TypeAlias = Mapping[str, Mapping[int, Value]]
"""Values by slot, by instant as it is stored. Numbers are finite; None is no value."""


@dataclass(frozen=True, slots=True)
class Replace:
    """What is made up: the made-up values of `slots` in start ≤ ts < end go first."""

    slots: Set[int]
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Keep:
    """What is imported: it fills what is empty, and a value that is there stays."""

    read_at: str
    """When the values came, for rows that are new; not the instant of any of them."""


class Merged(NamedTuple):
    """What became of one chunk; counts of values."""

    added: int = 0
    removed: int = 0
    unchanged: int = 0
    """They were there already."""
    conflicts: int = 0
    """Another value was there, which stays."""


class _Row(NamedTuple):
    """A row that is there, as it is or as it is to be."""

    read_at: str
    scheduled: bool
    vals: Values
    gaps: str | None


@dataclass(slots=True)
class _Changes:
    """What is to be written, by instant."""

    rows: dict[str, _Row] = field(default_factory=dict)
    """Instead of rows that are there."""
    emptied: list[str] = field(default_factory=list)
    """Rows that go: nothing is left in them."""
    new: dict[str, Values] = field(default_factory=dict)
    """Beside them."""
    added: int = 0
    removed: int = 0
    unchanged: int = 0
    conflicts: int = 0


def measured(
    connection: Connection, meter_id: int, slots: Set[int], start: str, end: str
) -> tuple[str, int] | None:
    """Instant and slot of a measured value of these slots in start ≤ ts < end, if there is one."""
    query = _query(connection, meter_id).where(
        readings.c.ts >= start,
        readings.c.ts < end,
        or_(readings.c.scheduled, readings.c.read_at != readings.c.ts),
    )
    result = connection.execute(query, execution_options={"yield_per": _FETCHED_AT_ONCE})
    try:
        for row in result:
            vals = dialect_of(connection).values(row)
            for slot in slots:
                if _value(vals, slot) is not None:
                    return row.ts, slot
    finally:
        result.close()
    return None


def merge(
    connection: Connection, meter_id: int, samples: Samples, *, policy: Replace | Keep
) -> Merged:
    """Combine a chunk of samples with the rows of a meter, and write what differs.

    Raises ConfigError when made-up values would replace measured ones, StorageError when another
    process changed the rows meanwhile.
    """
    if isinstance(policy, Replace):
        within = (readings.c.ts >= policy.start, readings.c.ts < policy.end)
    elif not samples:
        return Merged()
    else:
        within = (readings.c.ts >= min(samples), readings.c.ts <= max(samples))
    found = dict(_found(connection, _query(connection, meter_id).where(*within)))
    changes = _Changes()
    if isinstance(policy, Replace):
        _replace(found, _off_the_grid(connection, meter_id, samples, found), policy, changes)
        _write(connection, meter_id, changes, None)
    else:
        _fill(found, samples, changes)
        _write(connection, meter_id, changes, policy.read_at)
    return Merged(changes.added, changes.removed, changes.unchanged, changes.conflicts)


def _query(connection: Connection, meter_id: int) -> Any:
    columns = readings.c
    return select(
        columns.ts,
        columns.read_at,
        columns.scheduled,
        columns.gaps,
        *dialect_of(connection).value_columns,
    ).where(columns.meter_id == meter_id)


def _found(connection: Connection, query: Any) -> Iterator[tuple[str, _Row]]:
    values = dialect_of(connection).values
    for row in connection.execute(query):
        yield row.ts, _Row(row.read_at, bool(row.scheduled), values(row), row.gaps)


def _off_the_grid(
    connection: Connection, meter_id: int, samples: Samples, found: Mapping[str, _Row]
) -> Samples:
    """The samples, moved by microseconds where a tick of the schedule or a measured row has the
    place: the reading of a tick, which may still come, must find it free.
    """
    query = select(schedules.c.interval_s).where(schedules.c.meter_id == meter_id).distinct()
    steps = [step_of(interval) for interval in connection.execute(query).scalars()]
    taken = {ts for ts, row in found.items() if _is_measured(ts, row)}
    if not steps and not taken:
        return samples
    return {_moved(ts, steps, taken): values for ts, values in samples.items()}


def _moved(ts: str, steps: Sequence[int], taken: Set[str]) -> str:
    at = from_text(ts)
    while any(to_microseconds(at) % step == 0 for step in steps) or to_text(at) in taken:
        at += MICROSECOND
    return to_text(at)


def _is_measured(ts: str, row: _Row) -> bool:
    return row.scheduled or row.read_at != ts


def _replace(found: dict[str, _Row], samples: Samples, policy: Replace, changes: _Changes) -> None:
    for ts, row in found.items():
        there = [slot for slot in policy.slots if _value(row.vals, slot) is not None]
        if not there:
            continue
        if _is_measured(ts, row):
            raise ConfigError(
                f"made-up values would replace the measured one at {ts} of slot {there[0]}"
            )
        changes.removed += len(there)
        if row.vals.count(None) + len(there) == len(row.vals):
            changes.emptied.append(ts)
        else:
            left = [None if slot in there else value for slot, value in enumerate(row.vals)]
            changes.rows[ts] = row._replace(vals=left)
    for ts in changes.emptied:
        del found[ts]
    for ts, values in samples.items():
        before = changes.rows.get(ts) or found.get(ts)
        changes.added += len(values)
        if before is None:
            changes.new[ts] = _with((), values)
        else:
            changes.rows[ts] = before._replace(vals=_with(before.vals, values))


def _fill(found: Mapping[str, _Row], samples: Samples, changes: _Changes) -> None:
    for ts, values in samples.items():
        row = found.get(ts)
        fitting = _fitting(row.vals if row else (), values, changes)
        if not fitting:
            continue
        if row is None:
            changes.new[ts] = _with((), fitting)
        else:
            gaps = _without(row.gaps, fitting.keys())
            changes.rows[ts] = row._replace(vals=_with(row.vals, fitting), gaps=gaps)


def _fitting(
    vals: Sequence[Value], values: Mapping[int, Value], changes: _Changes
) -> dict[int, Value]:
    """Those of the values whose slots are empty; the others are counted."""
    fitting: dict[int, Value] = {}
    for slot, value in values.items():
        there = _value(vals, slot)
        if value is None:
            continue
        if there is None:
            fitting[slot] = value
        elif there == _exact(value):
            changes.unchanged += 1
        else:
            changes.conflicts += 1
    changes.added += len(fitting)
    return fitting


def _with(vals: Sequence[Value], values: Mapping[int, Value]) -> Values:
    """`vals` with these values, as long as it must be."""
    row = list(vals)
    lacking = max(values) + 1 - len(row)
    if lacking > 0:
        row += [None] * lacking
    for slot, value in values.items():
        row[slot] = _exact(value) if type(value) is int else value
    return row


def _value(vals: Sequence[Value], slot: int) -> Value:
    """A row is as long as its meter had slots when it was written."""
    return vals[slot] if slot < len(vals) else None


def _exact(value: Value) -> Value:
    """An integer that readers of JSON would round becomes text."""
    if type(value) is int and abs(value) > MAX_EXACT_INT:
        return str(value)
    return value


def _without(gaps: str | None, filled: Set[int]) -> str | None:
    """The reasons of slots that have no value still."""
    if gaps is None:
        return None
    left = {
        reason: [slot for slot in slots if slot not in filled]
        for reason, slots in _reasons(gaps).items()
    }
    kept = {reason: slots for reason, slots in left.items() if slots}
    return _encode(kept).decode() if kept else None


def _write(connection: Connection, meter_id: int, changes: _Changes, read_at: str | None) -> None:
    """Write the rows; a new one without `read_at` has its ts there."""
    going = sorted((*changes.emptied, *changes.rows))
    for start in range(0, len(going), _DELETED_AT_ONCE):
        some = going[start : start + _DELETED_AT_ONCE]
        # PostgreSQL reads the whole table for a list alone while it has no statistics of it.
        near = readings.c.ts.between(some[0], some[-1])
        mine = (readings.c.meter_id == meter_id, near, readings.c.ts.in_(some))
        connection.execute(delete(readings).where(*mine))
    rows = [
        ReadingRow(meter_id, ts, row.read_at, row.scheduled, _encode(row.vals).decode(), row.gaps)
        for ts, row in changes.rows.items()
    ]
    # All of them at once: a line break stands in no value, JSON writes it as two characters.
    lines = _encode_lines(list(changes.new.values())).decode().split("\n")
    read = repeat(read_at) if read_at else changes.new
    fields = zip(
        repeat(meter_id), changes.new, read, repeat(False), lines, repeat(None), strict=False
    )
    rows += map(ReadingRow._make, fields)
    if dialect_of(connection).insert_readings(connection, rows) != len(rows):
        raise StorageError(
            "another program has changed the same readings meanwhile: start the command again"
        )
    if changed := (*going, *changes.new):
        reopen(connection, meter_id, min(changed))
