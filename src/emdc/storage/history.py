"""Stored readings as the rest of the program wants them.

The daemon loads the last values at start; the first page draws the last hour. Both may run on any
thread and read a few hundred rows per meter at most, found by key.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine, Row, Select, func, or_, select

from emdc.reading import MeterProfile, MeterReading, Value
from emdc.storage.database import connected
from emdc.storage.instants import from_text, to_text
from emdc.storage.schema import meters, readings, topics

_ROWS_BACK: Final = 300
_POINTS: Final = 60
_ALL_ROWS: Final = 600
"""A span with more rows than this is drawn from the first and last reading of each minute."""
_MINUTE_CHARS: Final = 16

Points: TypeAlias = list[tuple[float, float]]
"""(seconds since 1970, value) in order of time."""

_values: Final = msgspec.json.Decoder(list[Value])
_gaps: Final = msgspec.json.Decoder(dict[str, list[int]])


@dataclass(frozen=True, slots=True)
class _Meter:
    meter_id: int
    name: str
    metrics: Mapping[int, str]
    """Slot → metric name."""


def latest_readings(engine: Engine, profiles: Sequence[MeterProfile]) -> list[MeterReading]:
    """The readings that hold the last value of each configured metric, oldest first.

    Looks 300 readings of a meter back. Raises StorageError when the database fails.
    """
    found: list[MeterReading] = []
    with connected(engine) as connection:
        for profile in profiles:
            meter = _meter(connection, profile.name)
            if meter is not None:
                found += _newest(connection, meter, profile)
    return sorted(found, key=lambda reading: reading.read_at)


def sparklines(engine: Engine, meter: str, since: datetime) -> dict[str, Points]:
    """For each metric of a meter at most 60 values from `since` on, evenly over the time they span.

    Metrics without a number in that time are left out; an unknown meter has none. Raises
    StorageError when the database fails.
    """
    with connected(engine) as connection:
        known = _meter(connection, meter)
        if known is None:
            return {}
        rows = _sampled(connection, known.meter_id, since)
    return _points(known, rows)


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
    texts = {topic.name for topic in profile.topics if topic.kind == "text"}
    wanted = {topic.name for topic in profile.topics}
    newest_first = (
        select(readings)
        .where(readings.c.meter_id == meter.meter_id)
        .order_by(readings.c.ts.desc())
        .limit(_ROWS_BACK)
    )
    kept: list[MeterReading] = []
    for row in connection.execute(newest_first):
        reading = _reading(meter, row, texts)
        has = {
            name for name, v in zip(reading.metrics, reading.values, strict=True) if v is not None
        }
        if wanted & has or not kept:
            kept.append(reading)
        wanted -= has
        if not wanted:
            break
    return kept


def _reading(meter: _Meter, row: Row[Any], texts: Iterable[str]) -> MeterReading:
    """A reading as it was written, but for metrics that were not due in its tick."""
    by_reason = _gaps.decode(row.gaps) if row.gaps else {}
    reasons = {slot: reason for reason, slots in by_reason.items() for slot in slots}
    values = {}
    for slot, value in enumerate(_values.decode(row.vals)):
        name = meter.metrics.get(slot)
        if name is not None and (value is not None or slot in reasons):
            values[name] = value if name in texts else _number(value)
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


def _sampled(connection: Connection, meter_id: int, since: datetime) -> Sequence[Row[Any]]:
    """(ts, vals) of the readings to draw, in order of time."""
    columns = (readings.c.ts, readings.c.vals)
    mine = (readings.c.meter_id == meter_id, readings.c.ts >= to_text(since))
    count = connection.execute(select(func.count()).select_from(readings).where(*mine)).scalar_one()
    query: Select[Any] = select(*columns).where(*mine).order_by(readings.c.ts)
    if count > _ALL_ROWS:
        minute = func.substr(readings.c.ts, 1, _MINUTE_CHARS)
        ends = (
            select(func.min(readings.c.ts).label("first"), func.max(readings.c.ts).label("last"))
            .where(*mine)
            .group_by(minute)
            .subquery()
        )
        chosen = or_(
            readings.c.ts.in_(select(ends.c.first)), readings.c.ts.in_(select(ends.c.last))
        )
        query = query.where(chosen)
    return connection.execute(query).all()


def _points(meter: _Meter, rows: Iterable[Row[Any]]) -> dict[str, Points]:
    lines: dict[str, Points] = {name: [] for name in meter.metrics.values()}
    for row in rows:
        at = from_text(row.ts).timestamp()
        for slot, value in enumerate(_values.decode(row.vals)):
            number = _number(value)
            if isinstance(number, int | float) and slot in meter.metrics:
                lines[meter.metrics[slot]].append((at, float(number)))
    return {name: _thinned(points) for name, points in lines.items() if points}


def _thinned(points: Points) -> Points:
    """The first point of each sixtieth of the time from the first point to the last."""
    first, width = points[0][0], (points[-1][0] - points[0][0]) / _POINTS
    if len(points) <= _POINTS:
        return points
    chosen: dict[int, tuple[float, float]] = {}
    for point in points[:-1]:
        chosen.setdefault(int((point[0] - first) / width), point)
    return list(chosen.values())
