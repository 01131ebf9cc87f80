"""Readings that come when the quarter hours of their time are made already.

Whoever stores, changes or deletes readings beside the collector calls `reopen` in the same
transaction, after the readings: from there on they are made again (see `accounts`). What lies
before the end of a deletion by `retention` stays as it was made, since it can be made of nothing.
The collector's own writer calls `reopen_new`, and only for readings so old that they may be late.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select, update

from emdc.energy.answers import CELL_S
from emdc.storage.conservation import DELETED
from emdc.storage.instants import (
    MICROSECOND,
    first_tick,
    from_microseconds,
    from_text,
    to_microseconds,
    to_text,
)
from emdc.storage.schema import gaps, interval_progress

GRACE_S: Final = 15.0
"""A quarter hour is made so long after its end: its readings are stored by then, or spooled."""

_CELL_US: Final = CELL_S * 1_000_000
_GRACE: Final = timedelta(seconds=GRACE_S)
_KEYS: Final = 500
"""Meters in one question."""


class Frontier:
    """Before which instant quarter hours may be made already, by the time that `clock` gives."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._ts = ""

    def ts(self) -> str:
        """Asked before a transaction: one that has to do with earlier readings must look. It never
        goes back, whatever the clock does.
        """
        self._ts = max(self._ts, _cell_of(to_text(self._clock() - _GRACE)))
        return self._ts


def reopen(connection: Connection, meter_id: int, ts: str) -> bool:
    """Let a meter's quarter hours be made again from that of `ts` on, where they are made.

    `ts` is the first instant whose readings are new, changed or gone. Gives whether that changes
    anything.
    """
    table = interval_progress.c
    # Locked until the end of the transaction: who makes quarter hours from older readings must
    # either come after it and see these, or have come before it and be seen here.
    query = select(table.next_ts, table.through_ts).where(table.meter_id == meter_id)
    there = connection.execute(query.with_for_update()).first()
    if there is None:
        return False
    start = there.next_ts
    if ts < there.through_ts:
        start = min(start, max(_cell_of(ts), _kept_from(connection, meter_id)))
    # Moved in any case: who has read already what is stored now finds another one, and begins anew.
    through = to_text(from_text(there.through_ts) + MICROSECOND)
    mine = update(interval_progress).where(table.meter_id == meter_id)
    connection.execute(mine.values(next_ts=start, through_ts=through))
    return bool(start < there.next_ts)


def reopen_new(connection: Connection, first: Mapping[int, str]) -> None:
    """As `reopen` of each meter from the instant that `first` has for it, for many of them.

    Only of readings that are new: those who make quarter hours right now see that there are more.
    """
    table, ids = interval_progress.c, sorted(first)
    for start in range(0, len(ids), _KEYS):
        some = table.meter_id.in_(ids[start : start + _KEYS])
        query = select(table.meter_id, table.through_ts).where(some).order_by(table.meter_id)
        for meter_id, through_ts in connection.execute(query.with_for_update()).all():
            if first[meter_id] < through_ts:
                reopen(connection, meter_id, first[meter_id])


def _cell_of(ts: str) -> str:
    at = to_microseconds(from_text(ts))
    return to_text(from_microseconds(at // _CELL_US * _CELL_US))


def _kept_from(connection: Connection, meter_id: int) -> str:
    """The first quarter hour of which no reading was deleted; empty when none ever was."""
    end = deleted_until(connection, meter_id)
    return to_text(first_tick(from_text(end), CELL_S)) if end else ""


def deleted_until(connection: Connection, meter_id: int) -> str | None:
    """Before which instant readings of a meter were deleted for their age; None: none were."""
    deleted = (gaps.c.meter_id == meter_id, gaps.c.reason == DELETED)
    return connection.execute(select(func.max(gaps.c.to_ts)).where(*deleted)).scalar()
