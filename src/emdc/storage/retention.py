"""Readings that are older than anybody wants: deleted in small steps, and never silently.

With the first rows a range with the reason `retention` goes into `gaps`, which takes its ticks out
of what is due; then the other rows go, a few thousand a transaction. A kill in between leaves rows
that nothing is due for, and the next run takes them.
"""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, select

from emdc.errors import ConfigError
from emdc.storage.conservation import DELETED
from emdc.storage.database import connected, dialect_of
from emdc.storage.instants import to_text
from emdc.storage.schema import meters, readings

AT_ONCE: Final = 2000
"""Rows in one transaction: some ten milliseconds, in which the collector's writer waits."""


@dataclass(frozen=True, slots=True)
class Old:
    """What one meter has before the cut."""

    meter_id: int
    meter: str
    readings: int
    first: str
    """Instants, as text in UTC."""
    last: str


def older(engine: Engine, cut: datetime, *, meter: str | None = None) -> list[Old]:
    """The meters with readings before `cut`, in order of name.

    Raises ConfigError for a meter that does not exist, StorageError when the database fails.
    """
    table = readings.c
    columns = (func.count(), func.min(table.ts), func.max(table.ts))
    found = []
    with connected(engine) as connection:
        query = select(meters.c.meter_id, meters.c.name).order_by(meters.c.name)
        names = connection.execute(query).all()
        _check(meter, [name for _, name in names])
        for meter_id, name in names:
            if meter is not None and name != meter:
                continue
            mine = (table.meter_id == meter_id, table.ts < to_text(cut))
            count, first, last = connection.execute(select(*columns).where(*mine)).one()
            if count:
                found.append(Old(meter_id, name, count, first, last))
    return found


def _check(meter: str | None, known: Sequence[str]) -> None:
    if meter is not None and meter not in known:
        near = difflib.get_close_matches(meter, known, n=3, cutoff=0.4) or known[:3]
        expected = f"expected one such as {', '.join(near)}" if near else "the database has none"
        raise ConfigError(f"--meter: no meter {meter!r}, {expected}")


def remove(engine: Engine, old: Old, cut: datetime, *, pause: Callable[[], None]) -> Iterator[int]:
    """Delete the meter's readings before `cut`; gives how many went with each transaction.

    `pause` is called between two, so that others get their turn. Raises StorageError, for example
    when the user may not delete.
    """
    ranges = [(old.meter_id, old.first, to_text(cut), DELETED)]
    while True:
        with connected(engine, write=True) as connection:
            # In one transaction with the first rows: whoever may not delete leaves no trace.
            dialect_of(connection).insert_gaps(connection, ranges)
            gone = _remove_some(connection, old.meter_id, to_text(cut))
        ranges = []
        if not gone:
            return
        yield gone
        pause()


def _remove_some(connection: Connection, meter_id: int, cut: str) -> int:
    table = readings.c
    oldest = (
        select(table.ts)
        .where(table.meter_id == meter_id, table.ts < cut)
        .order_by(table.ts)
        .limit(AT_ONCE)
    )
    instants = connection.execute(oldest).scalars().all()
    if not instants:
        return 0
    # A range instead of a list: one walk along the key.
    mine = (table.meter_id == meter_id, table.ts >= instants[0], table.ts <= instants[-1])
    connection.execute(delete(readings).where(*mine))
    return len(instants)
