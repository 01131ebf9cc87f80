"""Readings that are older than anybody wants: deleted in small steps, and never silently.

With the first rows a range with the reason `retention` goes into `gaps`, which takes its ticks out
of what is due; then the other rows go, a few thousand a transaction. A kill in between leaves rows
that nothing is due for, and the next run takes them. The quarter hours that were made of the
readings stay, and those that were not can never be made again.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, select

from emdc.errors import ConfigError
from emdc.storage.conservation import DELETED
from emdc.storage.database import connected, dialect_of
from emdc.storage.instants import from_text, to_text
from emdc.storage.schema import interval_details, interval_progress, meters, readings

AT_ONCE: Final = 2000
"""Rows in one transaction: some ten milliseconds, in which the collector's writer waits."""

_OPEN: Final = timedelta(minutes=75)
"""The last quarter hours of a counter that is not read any more stay open for so long: whether its
last readings were right, only later ones could tell."""


@dataclass(frozen=True, slots=True)
class Old:
    """What one meter has that may go."""

    meter_id: int
    meter: str
    readings: int
    first: str
    """Instants, as text in UTC."""
    last: str
    until: str
    """What is before it goes: the cut, or the last day of a meter that is not read any more, whose
    last quarter hours are open."""
    unmade: str | None
    """The quarter hours from here on are not made of these readings yet, where that is before
    `until`; empty: none are made. None: all are."""


def older(
    engine: Engine, cut: datetime, *, meter: str | None = None, made: bool = True
) -> list[Old]:
    """The meters with readings before `cut`, in order of name.

    Without `made` nobody asks for their quarter hours: all of the readings may go. Raises
    ConfigError for a meter that does not exist, StorageError when the database fails.
    """
    found = []
    with connected(engine) as connection:
        query = select(meters.c.meter_id, meters.c.name).order_by(meters.c.name)
        names = connection.execute(query).all()
        _check(meter, [name for _, name in names])
        for meter_id, name in names:
            if meter is not None and name != meter:
                continue
            until, unmade = to_text(cut), None
            if made:
                until, unmade = _made(connection, meter_id, until)
            count, first, last = _count(connection, meter_id, until)
            if count:
                if unmade is not None and last < unmade:
                    unmade = None
                found.append(Old(meter_id, name, count, first, last, until, unmade))
    return found


def _check(meter: str | None, known: Sequence[str]) -> None:
    if meter is not None and meter not in known:
        near = difflib.get_close_matches(meter, known, n=3, cutoff=0.4) or known[:3]
        expected = f"expected one such as {', '.join(near)}" if near else "the database has none"
        raise ConfigError(f"--meter: no meter {meter!r}, {expected}")


def _count(connection: Connection, meter_id: int, until: str) -> tuple[int, str, str]:
    table = readings.c
    columns = (func.count(), func.min(table.ts), func.max(table.ts))
    mine = (table.meter_id == meter_id, table.ts < until)
    count, first, last = connection.execute(select(*columns).where(*mine)).one()
    return count, first, last


def _made(connection: Connection, meter_id: int, cut: str) -> tuple[str, str | None]:
    """`until` and `unmade` of a meter."""
    table = interval_progress.c
    query = select(table.next_ts, table.through_ts).where(table.meter_id == meter_id)
    there = connection.execute(query).first()
    if there is None:
        return cut, ""
    if there.next_ts >= cut:
        return cut, None
    mine = select(func.max(readings.c.ts)).where(readings.c.meter_id == meter_id)
    last = connection.execute(mine).scalar()
    if last is None or last < there.next_ts:
        return cut, None
    if last < there.through_ts and to_text(from_text(last) - _OPEN) <= there.next_ts:
        return to_text(from_text(there.next_ts).replace(hour=0, minute=0)), None
    return cut, there.next_ts


def remove(engine: Engine, old: Old, *, pause: Callable[[], None]) -> Iterator[int]:
    """Delete these readings; gives how many went with each transaction.

    `pause` is called between two, so that others get their turn. Raises StorageError, for example
    when the user may not delete.
    """
    ranges = [(old.meter_id, old.first, old.until, DELETED)]
    while True:
        with connected(engine, write=True) as connection:
            # In one transaction with the first rows: whoever may not delete leaves no trace.
            dialect_of(connection).insert_gaps(connection, ranges)
            gone = _remove_some(connection, old.meter_id, old.until)
        ranges = []
        if not gone:
            return
        yield gone
        pause()


def _remove_some(connection: Connection, meter_id: int, until: str) -> int:
    table = readings.c
    oldest = (
        select(table.ts)
        .where(table.meter_id == meter_id, table.ts < until)
        .order_by(table.ts)
        .limit(AT_ONCE)
    )
    instants = connection.execute(oldest).scalars().all()
    if not instants:
        return 0
    # A range instead of a list: one walk along the key.
    mine = (table.meter_id == meter_id, table.ts >= instants[0], table.ts <= instants[-1])
    connection.execute(delete(readings).where(*mine))
    # Half minutes are as detailed as readings: quarter hours are what stays.
    halves = interval_details.c
    told = (halves.meter_id == meter_id, halves.ts <= instants[-1])
    connection.execute(delete(interval_details).where(*told))
    return len(instants)
