"""How far a meter's quarter hours are made, and with which states its counters go on from there.

A fold may begin at each quarter hour of which the states are stored: those in `interval_rows`, the
first one of a closed day, and the end of the last fold. Used by `accounts` and by whoever answers
what happened since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Connection, select

from emdc.energy.answers import cell_of, day_of
from emdc.energy.counter import State
from emdc.storage.instants import seconds_of, text_of
from emdc.storage.schema import (
    interval_days,
    interval_progress,
    interval_rows,
    readings,
    topics,
)

_by_slot: Final = msgspec.json.Decoder(dict[int, list[Any]]).decode
_plain: Final = msgspec.json.Decoder(list[Any]).decode
_encode: Final = msgspec.json.Encoder().encode

States: TypeAlias = dict[int, State]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a meter's quarter hours are made; instants in seconds since 1970."""

    next_at: float
    """The first one that is to be made, or made again."""
    through_at: float
    """Those before it were made once; `states` are those there."""
    states: str
    mark: tuple[str, str]
    """Another one once anybody has stored readings beside the collector, or made quarter hours."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a fold can begin."""

    start: float
    states: States


def progress(connection: Connection, meter_id: int, *, lock: bool = False) -> Progress | None:
    """How far it is; None: nothing was made yet.

    With `lock` nobody changes it meanwhile; raises DBAPIError at once when somebody is about to.
    """
    query = select(interval_progress).where(interval_progress.c.meter_id == meter_id)
    row = connection.execute(query.with_for_update(nowait=True) if lock else query).first()
    if row is None:
        return None
    mark = (row.next_ts, row.through_ts)
    return Progress(seconds_of(mark[0]), cell_of(seconds_of(mark[1])), row.states, mark)


def progress_at(next_at: float, through_at: float, states: str) -> Progress:
    """As far as that."""
    return Progress(next_at, through_at, states, (text_of(next_at), text_of(through_at)))


def beginning(
    connection: Connection, meter_id: int, at: float, known: Progress | None
) -> Beginning | None:
    """The last quarter hour at or before `at` whose states are known; None: there is none."""
    if known is not None and known.through_at <= at:
        return Beginning(at, states_of(known.states))
    ts = text_of(at)
    mine = (interval_rows.c.meter_id == meter_id, interval_rows.c.ts <= ts)
    newest = select(interval_rows.c.ts).where(*mine).order_by(interval_rows.c.ts.desc()).limit(1)
    row = connection.execute(newest).scalar()
    is_near = row is not None and row >= text_of(day_of(at))
    day = None if is_near else _last_day(connection, meter_id, ts)
    if row is not None and (day is None or row >= day):
        mine = (interval_rows.c.meter_id == meter_id, interval_rows.c.ts == row)
        text = connection.execute(select(interval_rows.c.states).where(*mine)).scalar_one()
        return Beginning(seconds_of(row), states_of(text))
    return None if day is None else Beginning(seconds_of(day), _of_day(connection, meter_id, day))


def first_row(connection: Connection, meter_id: int) -> float | None:
    """The first quarter hour that is stored as a row."""
    query = select(interval_rows.c.ts).where(interval_rows.c.meter_id == meter_id)
    ts = connection.execute(query.order_by(interval_rows.c.ts).limit(1)).scalar()
    return None if ts is None else seconds_of(ts)


def first_reading(connection: Connection, meter_id: int) -> float | None:
    """The quarter hour of the meter's first row of `readings`."""
    query = select(readings.c.ts).where(readings.c.meter_id == meter_id)
    ts = connection.execute(query.order_by(readings.c.ts).limit(1)).scalar()
    return None if ts is None else cell_of(seconds_of(ts))


def last_reading(connection: Connection, meter_id: int) -> float | None:
    """The meter's last row of `readings`."""
    query = select(readings.c.ts).where(readings.c.meter_id == meter_id)
    ts = connection.execute(query.order_by(readings.c.ts.desc()).limit(1)).scalar()
    return None if ts is None else seconds_of(ts)


def _last_day(connection: Connection, meter_id: int, ts: str) -> str | None:
    """The last closed day of the meter that begins at or before an instant."""
    table = interval_days.c
    found = select(table.day).where(table.topic_id == topics.c.topic_id, table.day <= ts)
    newest = found.order_by(table.day.desc()).limit(1).scalar_subquery()
    # Walks the key of each topic to its last day, where a maximum over all would read every day.
    days = connection.execute(select(newest).where(topics.c.meter_id == meter_id)).scalars()
    return max((day for day in days if day is not None), default=None)


def _of_day(connection: Connection, meter_id: int, day: str) -> States:
    table = interval_days
    rows = connection.execute(
        select(topics.c.slot, table.c.state)
        .join(table, table.c.topic_id == topics.c.topic_id)
        .where(topics.c.meter_id == meter_id, table.c.day == day, table.c.state.is_not(None))
    )
    return {row.slot: State.from_plain(_plain(row.state)) for row in rows}


def states_of(text: str) -> States:
    """The states, by slot, of a JSON object."""
    return {slot: State.from_plain(plain) for slot, plain in _by_slot(text).items()}


def states_text(states: Mapping[int, State]) -> str:
    """States as a JSON object, by slot in their order."""
    return _encode({str(slot): states[slot].to_plain() for slot in sorted(states)}).decode()


def state_text(state: State) -> str:
    """One state as a JSON array."""
    return _encode(state.to_plain()).decode()
