"""Stored readings as the rest of the program wants them.

The daemon loads the last values at start; the first page draws the last hour. Both may run on any
thread and read a few hundred rows per meter, found by key; only for a meter that has long been
mute the start looks further.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine, Row, Select, bindparam, func, select

from emdc.reading import MeterProfile, MeterReading, Value
from emdc.storage.columns import Instant, Values
from emdc.storage.database import connected, dialect_of
from emdc.storage.instants import from_text, seconds_of, to_text
from emdc.storage.schema import meters, readings, topics

_ROWS_BACK: Final = 300
_MUTE_ROWS_BACK: Final = 10_000
"""How far to look for the last value of a meter that gave none in its newest readings."""
_FIRST: Final = "1970-01-01 00:00:00.000000"
_ALL_ROWS: Final = 600
"""A span with more rows than this is drawn from the first and last reading of each minute."""
_MINUTE_S: Final = 60.0
_TO_MINUTE: Final = len("2026-03-01 12:00")

Points: TypeAlias = list[tuple[float, float | None]]
"""(seconds since 1970, value) in order of time; None: the line is broken there."""

_gaps: Final = msgspec.json.Decoder(dict[str, list[int]])


@dataclass(frozen=True, slots=True)
class _Meter:
    meter_id: int
    name: str
    metrics: Mapping[int, str]
    """Slot → metric name."""


def latest_readings(engine: Engine, profiles: Sequence[MeterProfile]) -> list[MeterReading]:
    """The readings that hold the last value of each configured metric, oldest first.

    Looks 300 readings of a meter back; when none of them has a value, another 300 from the newest
    that has one among the meter's last 10,000. Raises StorageError when the database fails.
    """
    found: list[MeterReading] = []
    with connected(engine) as connection:
        for profile in profiles:
            meter = _meter(connection, profile.name)
            if meter is not None:
                found += _newest(connection, meter, profile)
    return sorted(found, key=lambda reading: reading.read_at)


def sparklines(
    engine: Engine, meter: str, since: datetime, *, apart_s: Mapping[str, float] | None = None
) -> dict[str, Points]:
    """For each metric of a meter its numbers from `since` on, in order of time.

    Of more than 600 readings only the first and the last of each minute count, and those beside a
    silence of the meter. The line of a metric is broken where more than its seconds of `apart_s`
    have no number; what lasts less than a minute and concerns one metric alone is not seen among so
    many. Metrics without a number in that time are left out; an unknown meter has none. Raises
    StorageError when the database fails.
    """
    apart_s = apart_s or {}
    with connected(engine) as connection:
        known = _meter(connection, meter)
        if known is None:
            return {}
        least_s = min(apart_s.values(), default=math.inf)
        return _points(known, _sampled(connection, known.meter_id, since, least_s), apart_s)


def _meter(connection: Connection, name: str) -> _Meter | None:
    meter_id = connection.execute(select(meters.c.meter_id).where(meters.c.name == name)).scalar()
    if meter_id is None:
        return None
    query = select(topics.c.slot, topics.c.topic_name).where(topics.c.meter_id == meter_id)
    # The prefix itself may hold slashes, so it is cut off by its length.
    names = {row.slot: row.topic_name[len(name) + 1 :] for row in connection.execute(query)}
    return _Meter(meter_id, name, names)


def _newest(connection: Connection, meter: _Meter, profile: MeterProfile) -> list[MeterReading]:
    """The meter's last readings, back to where each metric has a value."""
    kept = _back_from(connection, meter, profile)
    if any(value is not None for reading in kept for value in reading.values):
        return kept
    last = _last_with_a_value(connection, meter.meter_id)
    return kept if last is None else kept + _back_from(connection, meter, profile, last)


def _last_with_a_value(connection: Connection, meter_id: int) -> str | None:
    """The tick of the meter's newest row with any value, within its newest 10,000."""
    mine = readings.c.meter_id == meter_id
    newest_first = select(readings.c.ts).where(mine).order_by(readings.c.ts.desc()).limit(1)
    # Walks the key alone, and leaves the search below free to stop at the first row that it finds.
    oldest = newest_first.offset(_MUTE_ROWS_BACK - 1).scalar_subquery()
    since = func.coalesce(oldest, bindparam("since", _FIRST, Instant))
    query = newest_first.where(readings.c.ts >= since, dialect_of(connection).has_value)
    return connection.execute(query).scalar()


def _back_from(
    connection: Connection, meter: _Meter, profile: MeterProfile, last: str | None = None
) -> list[MeterReading]:
    """The reading at `last` (or the newest) and those before it that have a metric's last value."""
    texts = {topic.name for topic in profile.topics if topic.kind == "text"}
    counts = {topic.name for topic in profile.topics if topic.digits is None} - texts
    whole_and_text = (counts, texts)
    wanted = {topic.name for topic in profile.topics}
    dialect = dialect_of(connection)
    columns = (readings.c.ts, readings.c.read_at, readings.c.scheduled, readings.c.gaps)
    newest_first = (
        select(*columns, *dialect.value_columns)
        .where(readings.c.meter_id == meter.meter_id)
        .order_by(readings.c.ts.desc())
        .limit(_ROWS_BACK)
    )
    if last is not None:
        newest_first = newest_first.where(readings.c.ts <= last)
    kept: list[MeterReading] = []
    for row in connection.execute(newest_first):
        reading = _reading(meter, row, dialect.values(row), whole_and_text)
        has = {
            name for name, v in zip(reading.metrics, reading.values, strict=True) if v is not None
        }
        if wanted & has or not kept:
            kept.append(reading)
        wanted -= has
        if not wanted:
            break
    return kept


def _reading(
    meter: _Meter, row: Row[Any], stored: Values, whole_and_text: tuple[set[str], set[str]]
) -> MeterReading:
    """A reading as it was written, but for metrics that were not due in its tick."""
    counts, texts = whole_and_text
    by_reason = _gaps.decode(row.gaps) if row.gaps else {}
    reasons = {slot: reason for reason, slots in by_reason.items() for slot in slots}
    values = {}
    for slot, value in enumerate(stored):
        name = meter.metrics.get(slot)
        if name is not None and (value is not None or slot in reasons):
            number = value if name in texts else _number(value)
            values[name] = _whole(number) if name in counts else number
    return MeterReading(
        meter=meter.name,
        tick=from_text(row.ts),
        read_at=from_text(row.read_at),
        metrics=tuple(values),
        values=tuple(values.values()),
        gaps={
            meter.metrics[slot]: reason for slot, reason in reasons.items() if slot in meter.metrics
        },
        scheduled=bool(row.scheduled),
    )


def _number(value: Value) -> Value:
    """Integers too long for a JSON number are kept as text: here they are integers again."""
    return int(value) if isinstance(value, str) and value.lstrip("-").isdecimal() else value


def _whole(value: Value) -> Value:
    """A count as the integer that it was; PostgreSQL keeps every number as a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True, slots=True)
class _Sample:
    """Readings to draw, in order of time."""

    rows: Iterable[tuple[str, Values]]
    silent_s: Mapping[str, float]
    """Instant of a reading → seconds since the one before, where that is long."""
    between_s: float
    """How far apart two readings of the sample may be for no other reason than that it is one."""


def _sampled(connection: Connection, meter_id: int, since: datetime, apart_s: float) -> _Sample:
    """Readings with a value since then; of many those at the ends of minutes and of silences."""
    dialect = dialect_of(connection)
    mine = (readings.c.meter_id == meter_id, readings.c.ts >= to_text(since), dialect.has_value)
    query = select(readings.c.ts).where(*mine).order_by(readings.c.ts)
    instants = connection.execute(query).scalars().all()
    silent_s = _silences(instants, apart_s)
    columns = (readings.c.ts, *dialect.value_columns)
    drawn: Select[Any] = select(*columns).where(*mine).order_by(readings.c.ts)
    if len(instants) > _ALL_ROWS:
        drawn = drawn.where(readings.c.ts.in_(_ends(instants, silent_s)))
    rows = ((row.ts, dialect.values(row)) for row in connection.execute(drawn))
    return _Sample(rows, silent_s, _MINUTE_S if len(instants) > _ALL_ROWS else 0.0)


def _silences(instants: Sequence[str], apart_s: float) -> dict[str, float]:
    timed = ((ts, seconds_of(ts)) for ts in instants)
    return {
        ts: time - before for (_, before), (ts, time) in pairwise(timed) if time - before > apart_s
    }


def _ends(instants: Sequence[str], silent_s: Mapping[str, float]) -> list[str]:
    """Of each minute, and of each stretch between two silences, the first and the last instant."""
    ends = {instants[0], instants[-1]}
    for before, ts in pairwise(instants):
        if ts in silent_s or ts[:_TO_MINUTE] != before[:_TO_MINUTE]:
            ends |= {before, ts}
    return sorted(ends)


def _points(meter: _Meter, sample: _Sample, apart_s: Mapping[str, float]) -> dict[str, Points]:
    lines: dict[str, Points] = {name: [] for name in meter.metrics.values()}
    most_s = {name: apart_s.get(name, math.inf) for name in lines}
    broken: set[str] = set()
    for ts, values in sample.rows:
        at = seconds_of(ts)
        if silent_s := sample.silent_s.get(ts):
            broken |= {name for name in lines if silent_s > most_s[name]}
        for slot, value in enumerate(values):
            number = _number(value)
            if not isinstance(number, int | float) or slot not in meter.metrics:
                continue
            name = meter.metrics[slot]
            if line := lines[name]:
                last = line[-1][0]
                if name in broken or at - last > most_s[name] + sample.between_s:
                    line.append(((last + at) / 2, None))
            broken.discard(name)
            line.append((at, float(number)))
    return {name: points for name, points in lines.items() if points}
