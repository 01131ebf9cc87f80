"""The ticks that nobody could read because the program did not run.

Whoever schedules next knows them: from the tick after the last one that has a reading or a gap, to
the first tick that will be read again. `registry` records them at start, `recorder` marks a clean
stop at the end.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from emdc.storage.database import dialect_of
from emdc.storage.instants import MICROSECOND, first_tick, from_text, to_text
from emdc.storage.schema import gaps, readings, schedules

STOPPED: Final = "daemon_stopped"
KILLED: Final = "daemon_killed"


@dataclass(frozen=True, slots=True)
class OpenSchedule:
    """One interval of one meter that is in force; `slots` is a JSON array, never empty."""

    from_ts: datetime
    interval_s: float
    slots: str


def open_schedules(connection: Connection) -> dict[int, list[OpenSchedule]]:
    """The schedules in force by meter: the newest row of each interval that still has slots."""
    newest = {}
    for row in connection.execute(select(schedules).order_by(schedules.c.from_ts)):
        newest[row.meter_id, row.interval_s] = row
    by_meter: dict[int, list[OpenSchedule]] = {}
    for row in newest.values():
        if row.slots != "[]":
            group = OpenSchedule(from_text(row.from_ts), row.interval_s, row.slots)
            by_meter.setdefault(row.meter_id, []).append(group)
    return by_meter


def record(connection: Connection, now: datetime, others: Container[int] = ()) -> None:
    """Insert one range for each scheduled meter whose ticks before `now` were not all answered.

    The meters `others` are recorded by a process that runs, which answers for them.
    """
    for meter_id, groups in open_schedules(connection).items():
        if meter_id in others:
            continue
        last = known(connection, meter_id)
        start = min(
            first_tick(max(group.from_ts, last or group.from_ts), group.interval_s)
            for group in groups
        )
        end = min(first_tick(now, group.interval_s) for group in groups)
        if start < end:
            stop = mark(connection, meter_id)
            # A tick that is known after the mark belongs to a later run, which left none.
            clean = stop is not None and (
                last is None or min(first_tick(stop, group.interval_s) for group in groups) >= last
            )
            row = (meter_id, to_text(start), to_text(end), STOPPED if clean else KILLED)
            dialect_of(connection).insert_gaps(connection, [row])


def mark_stop(connection: Connection, now: datetime, mine: Container[int]) -> None:
    """Leave the mark of a clean stop for each scheduled meter of `mine`: a range of length zero."""
    at = to_text(now)
    scheduled = (meter_id for meter_id in open_schedules(connection) if meter_id in mine)
    rows = [(meter_id, at, at, STOPPED) for meter_id in scheduled]
    dialect_of(connection).insert_gaps(connection, rows)


def known(connection: Connection, meter_id: int) -> datetime | None:
    """The instant before which each tick of a meter has a reading or a gap; None: none has."""
    last = connection.execute(
        select(readings.c.ts)
        .where(readings.c.meter_id == meter_id, readings.c.scheduled)
        .order_by(readings.c.ts.desc())
        .limit(1)
    ).scalar()
    covered = connection.execute(
        select(func.max(gaps.c.to_ts)).where(
            gaps.c.meter_id == meter_id, gaps.c.from_ts < gaps.c.to_ts
        )
    ).scalar()
    known = [from_text(last) + MICROSECOND] if last else []
    return max([*known, *([from_text(covered)] if covered else [])], default=None)


def mark(connection: Connection, meter_id: int) -> datetime | None:
    """When the meter's last clean stop was."""
    at = connection.execute(
        select(func.max(gaps.c.from_ts)).where(
            gaps.c.meter_id == meter_id,
            gaps.c.from_ts == gaps.c.to_ts,
            gaps.c.reason == STOPPED,
        )
    ).scalar()
    return from_text(at) if at else None
