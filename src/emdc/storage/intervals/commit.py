"""Which transactions store a portion of quarter hours: small ones, of which only the last counts.

All but the last put rows where no fold begins and where the same will be put again, should it end
early. The last one sees that nothing came in between, and says how far it is now.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Final, TypeAlias

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from emdc.energy.answers import CELL_S, DAY_CELLS, DAY_S, day_of
from emdc.errors import StorageError
from emdc.storage.intervals import write
from emdc.storage.intervals.facts import Subject
from emdc.storage.intervals.states import Progress, progress, progress_at, states_text
from emdc.storage.intervals.walk import Portion
from emdc.storage.intervals.write import Span, Stored

_ROWS: Final = 24
"""Quarter hours in one transaction."""
_TOPICS: Final = 50
"""Rows of days in one transaction."""
_BYTES: Final = 600_000
"""Half minutes in one transaction: some 20 ms, in which readings wait to be written."""

_LOCKED: Final = {"55P03", 1205, 3572}
"""What PostgreSQL, MariaDB and MySQL say instead of waiting for a row."""

Work: TypeAlias = Callable[[Connection], None]


class ChangedError(StorageError):
    """Readings came, or another program was there, while quarter hours were made: do it again."""

    def __init__(self) -> None:
        super().__init__("readings or intervals changed while they were read: run it again")


class BusyError(StorageError):
    """Somebody is storing readings of the meter right now, who may take a while."""


def storing(
    subject: Subject, portion: Portion, *, known: Progress | None, closed: float, count: int
) -> tuple[list[Work], Progress]:
    """What is to be done, each in a transaction, and how far it is then.

    `known` is how far it was, `count` how many rows of `readings` were seen in the span. Days that
    end by `closed` are stored as such when the portion has them whole. The last transaction raises
    ChangedError when either is not so any more.
    """
    whole, others = _parted(portion, min(closed, portion.next_at))
    works = [*_details(subject, portion), *_others(subject, others)]
    for day, cells in whole:
        works += _days(subject, day, cells)
    before, at_last = works[:-2], works[-2:]
    now = _progress(portion, known)

    def last(connection: Connection) -> None:
        _check(connection, subject, known)
        if write.count_readings(connection, subject.meter_id, portion.span) != count:
            raise ChangedError
        for work in at_last:
            work(connection)
        for day, _ in whole:
            write.drop_rows(connection, subject.meter_id, (day, day + DAY_S))
        write.put_epochs(connection, subject, portion.span, portion.epochs)
        if now.through_at > portion.span[1]:
            write.put_states(connection, subject, portion.next_at, portion.states)
        write.put_progress(connection, subject.meter_id, known=known, now=now)

    return [*before, last], now


def closing(subject: Subject, day: float, cells: Sequence[Stored], known: Progress) -> list[Work]:
    """What is to be done for a day that is over and lies in rows still; as `storing`."""

    def last(connection: Connection) -> None:
        _check(connection, subject, known)
        write.drop_rows(connection, subject.meter_id, (day, day + DAY_S))

    return [*_days(subject, day, cells), last]


def _check(connection: Connection, subject: Subject, known: Progress | None) -> None:
    try:
        found = progress(connection, subject.meter_id, lock=True)
    except DBAPIError as error:
        if _is_locked(error):
            raise BusyError("other readings of the meter are being stored: run it again") from error
        raise
    if (found and found.mark) != (known and known.mark):
        raise ChangedError


def _is_locked(error: DBAPIError) -> bool:
    said = error.orig
    number = getattr(said, "errno", None) or (said.args[0] if said and said.args else None)
    return number in _LOCKED or getattr(said, "sqlstate", None) in _LOCKED


def _progress(portion: Portion, known: Progress | None) -> Progress:
    """Where quarter hours are made again, those that follow stay as they are for now."""
    end = portion.span[1]
    if known is not None and end < known.through_at:
        return progress_at(portion.next_at, known.through_at, known.states)
    return progress_at(portion.next_at, end, states_text(portion.states))


def _parted(
    portion: Portion, closed: float
) -> tuple[list[tuple[float, list[Stored]]], list[Stored]]:
    """Whole days that are closed, and the other quarter hours."""
    whole, others = [], list[Stored]()
    for day, cells in groupby(portion.cells, key=lambda cell: day_of(cell.start)):
        mine = list(cells)
        if len(mine) == DAY_CELLS and day + DAY_S <= closed:
            whole.append((day, mine))
        else:
            others += mine
    return whole, others


def _details(subject: Subject, portion: Portion) -> Iterator[Work]:
    start, some, size = portion.span[0], dict[float, str](), 0
    for at, text in portion.details.items():
        if some and size + len(text) > _BYTES:
            yield partial(_put_details, subject, (start, at), some)
            start, some, size = at, {}, 0
        some[at] = text
        size += len(text)
    yield partial(_put_details, subject, (start, portion.span[1]), some)


def _put_details(
    subject: Subject, span: Span, some: dict[float, str], connection: Connection
) -> None:
    write.put_details(connection, subject.meter_id, span, some)


def _others(subject: Subject, cells: Sequence[Stored]) -> Iterator[Work]:
    for _, day in groupby(cells, key=lambda cell: day_of(cell.start)):
        mine = list(day)
        for first in range(0, len(mine), _ROWS):
            yield partial(_put_rows, subject, mine[first : first + _ROWS])


def _put_rows(subject: Subject, some: Sequence[Stored], connection: Connection) -> None:
    span = (some[0].start, some[-1].start + CELL_S)
    write.put_rows(connection, subject.meter_id, span, some)


def _days(subject: Subject, day: float, cells: Sequence[Stored]) -> Iterator[Work]:
    rows = list(write.day_rows(subject.topics, day, cells))
    for first in range(0, len(rows), _TOPICS):
        yield partial(_put_day_rows, day, rows[first : first + _TOPICS])


def _put_day_rows(day: float, rows: Sequence[write.DayRow], connection: Connection) -> None:
    write.put_day_rows(connection, day, rows)
