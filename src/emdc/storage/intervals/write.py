"""Quarter hours into their tables: rows of the meter, or days of its topics once they are over.

Called by `accounts` in transactions of whoever writes. Each function puts what it is given in the
place of all that was there in its range, so that each can be done twice. What is stored depends on
what was read alone: a place where nothing was read, due or known is null, whatever else the meter
had by then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from emdc.energy.answers import CELL_S, DAY_CELLS
from emdc.energy.cells import Cell
from emdc.energy.counter import Epoch
from emdc.storage.database import insert_all
from emdc.storage.instants import seconds_of, text_of
from emdc.storage.intervals.facts import FOUND, Subject
from emdc.storage.intervals.states import (
    Progress,
    States,
    state_text,
    states_of,
    states_text,
)
from emdc.storage.schema import (
    ARRAYS,
    counter_epochs,
    interval_days,
    interval_details,
    interval_progress,
    interval_rows,
    readings,
)

_COUNTS, _ENERGIES, _DUES = (ARRAYS.index(name) for name in ("counts", "energies", "dues"))

_NOTHING: Final = (None, None)
_EMPTY: Final = (None,) * DAY_CELLS

_encode: Final = msgspec.json.Encoder().encode
_array: Final = msgspec.json.Decoder(list[Any]).decode

Array: TypeAlias = Sequence[Any]
Span: TypeAlias = tuple[float, float]
"""start ≤ t < end, seconds since 1970."""
DayRow: TypeAlias = tuple[int, dict[str, Any] | None]
"""A topic's number, and its row of `interval_days`; None: there is nothing to be said."""


class Stored(NamedTuple):
    """A quarter hour as it is stored."""

    start: float
    arrays: tuple[Array, ...]
    """By ARRAYS: what each slot has, as far as any has something."""
    states: States


def stored(cell: Cell) -> Stored:
    """A quarter hour with null for all that says nothing."""
    facts = zip(cell.counts, cell.dues, cell.energies, strict=True)
    there = [n is not None and bool(n or (due, wh) != _NOTHING) for n, due, wh in facts]
    width = next((slot for slot in range(len(there), 0, -1) if there[slot - 1]), 0)
    arrays = tuple(getattr(cell, name)[:width] for name in ARRAYS)
    if not all(there[:width]):
        arrays = tuple(
            [v if is_there else None for v, is_there in zip(array, there, strict=False)]
            for array in arrays
        )
    return Stored(cell.start, arrays, cell.states)


def stored_between(connection: Connection, meter_id: int, start: float, end: float) -> list[Stored]:
    """The rows of start ≤ ts < end in order; of states those of the first one alone."""
    table = interval_rows
    query = select(table).where(*_within(table.c, meter_id, start, end)).order_by(table.c.ts)
    rows = connection.execute(query).all()
    return [
        Stored(
            seconds_of(row.ts),
            tuple(_array(getattr(row, name)) for name in ARRAYS),
            {} if number else states_of(row.states),
        )
        for number, row in enumerate(rows)
    ]


def put_rows(connection: Connection, meter_id: int, span: Span, quarters: Sequence[Stored]) -> None:
    """Quarter hours of days that are not over."""
    connection.execute(delete(interval_rows).where(*_within(interval_rows.c, meter_id, *span)))
    rows = [
        {
            "meter_id": meter_id,
            "ts": text_of(quarter.start),
            "states": states_text(quarter.states),
            **_texts(quarter.arrays),
        }
        for quarter in quarters
    ]
    for row in rows:
        # One by one: a meter with many metrics would fill what a server takes in one statement.
        connection.execute(insert(interval_rows), row)


def day_rows(topics: Mapping[int, int], day: float, quarters: Sequence[Stored]) -> Iterator[DayRow]:
    """The row of each topic for the quarter hours of a day.

    `topics`: topic_id by slot.
    """
    by_start = {quarter.start: quarter.arrays for quarter in quarters}
    nothing = tuple(() for _ in ARRAYS)
    cells = [by_start.get(day + number * CELL_S, nothing) for number in range(DAY_CELLS)]
    columns = [list(zip_longest(*arrays)) for arrays in zip(*cells, strict=True)]
    states = quarters[0].states if quarters and quarters[0].start == day else {}
    ts, width = text_of(day), len(columns[_COUNTS])
    for slot, topic_id in topics.items():
        arrays = [column[slot] if slot < width else _EMPTY for column in columns]
        state = states.get(slot)
        if state is None and all(count is None for count in arrays[_COUNTS]):
            yield topic_id, None
            continue
        text = None if state is None else state_text(state)
        yield topic_id, {"topic_id": topic_id, "day": ts, "state": text, **_texts(arrays)}


def put_day_rows(connection: Connection, day: float, rows: Sequence[DayRow]) -> None:
    """Rows of some topics for a closed day."""
    table = interval_days
    ids = [topic_id for topic_id, _ in rows]
    connection.execute(delete(table).where(table.c.topic_id.in_(ids), table.c.day == text_of(day)))
    insert_all(connection, table, [row for _, row in rows if row is not None])


def drop_rows(connection: Connection, meter_id: int, span: Span) -> None:
    """Take the rows of days out that are closed."""
    connection.execute(delete(interval_rows).where(*_within(interval_rows.c, meter_id, *span)))


def put_details(
    connection: Connection, meter_id: int, span: Span, details: Mapping[float, str]
) -> None:
    """Half minutes, by quarter hour."""
    table = interval_details
    connection.execute(delete(table).where(*_within(table.c, meter_id, *span)))
    for start, vals in details.items():
        row = {"meter_id": meter_id, "ts": text_of(start), "vals": vals}
        connection.execute(insert(table), row)


def put_epochs(
    connection: Connection, subject: Subject, span: Span, epochs: Iterable[tuple[int, Epoch]]
) -> None:
    """Where counters were found to begin anew; what users say stays, and is not said twice."""
    table = counter_epochs.c
    mine = table.topic_id.in_(list(subject.topics.values()))
    start, end = map(text_of, span)
    found = (table.source == FOUND, table.from_ts >= start, table.from_ts < end)
    connection.execute(delete(counter_epochs).where(mine, *found))
    rows = {
        (slot, epoch.at): {
            "topic_id": subject.topics[slot],
            "from_ts": text_of(epoch.at),
            "kind": epoch.kind,
            "before_value": float(epoch.before),
            "after_value": float(epoch.after),
            "source": FOUND,
            "note": "",
        }
        for slot, epoch in epochs
        if not _is_said(subject, slot, epoch)
    }
    insert_all(connection, counter_epochs, list(rows.values()))


def put_states(connection: Connection, subject: Subject, at: float, states: States) -> None:
    """What a later fold goes on from at `at`, where quarter hours are there from then on."""
    mine = (interval_rows.c.meter_id == subject.meter_id, interval_rows.c.ts == text_of(at))
    connection.execute(update(interval_rows).where(*mine).values(states=states_text(states)))
    table = interval_days.c
    for slot, state in states.items():
        key = (table.topic_id == subject.topics[slot], table.day == text_of(at))
        connection.execute(update(interval_days).where(*key).values(state=state_text(state)))


def put_progress(
    connection: Connection, meter_id: int, *, known: Progress | None, now: Progress
) -> None:
    """How far it is now; `known`: what stands there."""
    row = {"next_ts": now.mark[0], "through_ts": now.mark[1], "states": now.states}
    if known is None:
        connection.execute(insert(interval_progress).values(meter_id=meter_id, **row))
    else:
        mine = interval_progress.c.meter_id == meter_id
        connection.execute(update(interval_progress).where(mine).values(**row))


def count_readings(connection: Connection, meter_id: int, span: Span) -> int:
    """How many rows of `readings` there are."""
    mine = _within(readings.c, meter_id, *span)
    query = select(func.count()).select_from(readings).where(*mine)
    return int(connection.execute(query).scalar_one())


def _is_said(subject: Subject, slot: int, epoch: Epoch) -> bool:
    """Whether a user has said what happened there."""
    if not epoch.marked:
        return False
    marks = [mark for mark in subject.facts.slots[slot].marks if mark.at <= epoch.at]
    return bool(marks) and marks[-1].at in subject.said.get(slot, ())


def _texts(arrays: Sequence[Array]) -> dict[str, str]:
    return {name: _encode(array).decode() for name, array in zip(ARRAYS, arrays, strict=True)}


def _within(columns: Any, meter_id: int, start: float, end: float) -> tuple[Any, ...]:
    return (
        columns.meter_id == meter_id,
        columns.ts >= text_of(start),
        columns.ts < text_of(end),
    )
