"""What the old collector left in `data`, and what its times mean.

It wrote the local time of its clock without a zone. On SQLite that is text, which stays as it is;
the zone says how to read it. A TIMESTAMP of MySQL is an instant already: the server took the text
for a time of the writer's session. The upgrade asks for the zone, checks it against the times and
records it in `data_old_zone`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, text

from emdc.errors import ConfigError, SchemaError

KEEP: Final = "keep"
"""Instead of a zone: leave open what the times mean."""
_STEP: Final = timedelta(minutes=15)
"""Clocks are set at full quarters of an hour."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class OldRows:
    """How many rows there are, and the first and last of their times."""

    count: int
    first: datetime | None
    last: datetime | None
    """Local and without a zone; with the zone UTC where the column is an instant."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Local times that a zone had twice, or never, when its clocks were set."""

    start: datetime
    end: datetime
    """start ≤ local time < end, without a zone."""
    twice: bool


def examine(connection: Connection, table: str = "data") -> OldRows:
    """What lies in the old table. Raises SchemaError when its times cannot be read."""
    sql = f"SELECT count(*), min(ts), max(ts) FROM {table}"  # noqa: S608 (our own two names)
    count, first, last = connection.execute(text(sql)).one()
    if count and not (first and last):
        raise _no_time("0000-00-00" if first is None else first)
    return OldRows(int(count), _time(connection, first), _time(connection, last))


def checked_zone(name: str) -> str:
    """The name of a known zone, or `keep`. Raises ConfigError."""
    if name == KEEP:
        return name
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"--data_timezone={name}: unknown zone, expected a name of the IANA list such as"
            " America/Los_Angeles, or keep"
        ) from error
    return name


def need_zone(rows: OldRows, given: str) -> str:
    """The zone that was given. Raises ConfigError, with the question, when none was."""
    if given:
        return checked_zone(given)
    raise ConfigError(
        f"{rows.count} old readings from {rows.first} to {rows.last} have local times without a"
        " zone: say it by --data_timezone=ZONE (such as America/Los_Angeles; plain alembic: -x"
        " data_timezone=ZONE), or --data_timezone=keep to leave it open, which keeps them out of"
        " energy; their text stays as it is. --dry_run shows the times both ways"
    )


def told(connection: Connection, rows: OldRows, zone: str, table: str = "data") -> list[str]:
    """Sentences for people: the first and last time both ways, and what is odd about the zone."""
    if zone == KEEP or rows.first is None or rows.last is None:
        return [
            f"{rows.count} old readings, from {rows.first} to {rows.last}, their zone left open"
        ]
    lines = [f"{rows.count} old readings, their clock in {zone}:"]
    for name, at in (("first", rows.first), ("last", rows.last)):
        local, instant = both_ways(at, zone)
        lines.append(
            f"  {name:<5}  {local:%Y-%m-%d %H:%M:%S} there  {instant:%Y-%m-%d %H:%M:%S} UTC"
        )
    shifts = list(shifts_of(zone, rows.first, rows.last))
    twice = sum(_count(connection, table, rows, shift) for shift in shifts if shift.twice)
    never = sum(_count(connection, table, rows, shift) for shift in shifts if not shift.twice)
    if twice:
        lines.append(
            f"  {twice} lie in an hour that the clock had twice: they are taken for the first of"
            " the two"
        )
    if never and rows.first.tzinfo is None:
        lines.append(f"  {never} lie in an hour that {zone} skipped: is it the right zone?")
    return lines


def both_ways(at: datetime, zone: str) -> tuple[datetime, datetime]:
    """An old time as the clock in `zone` showed it, and in UTC."""
    if at.tzinfo is None:
        return at, at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None), at


def shifts_of(zone: str, first: datetime, last: datetime) -> Iterator[Shift]:
    """Each time between two instants that the zone's clocks were set, in order."""
    there = ZoneInfo(zone)
    at, end = (time.replace(tzinfo=UTC) for time in (first - _DAY, last + _DAY))
    before = at.astimezone(there).utcoffset()
    while at < end:
        following = at + _DAY
        after = following.astimezone(there).utcoffset()
        if before is not None and after is not None and after != before:
            yield _shift(at, following, there)
        at, before = following, after


def _shift(low: datetime, high: datetime, zone: ZoneInfo) -> Shift:
    """The one between two instants a day apart."""
    before = low.astimezone(zone).utcoffset() or timedelta()
    at = low.replace(minute=0, second=0, microsecond=0)
    while at < high and at.astimezone(zone).utcoffset() == before:
        at += _STEP
    after = at.astimezone(zone).utcoffset() or timedelta()
    ends = sorted((at.replace(tzinfo=None) + before, at.replace(tzinfo=None) + after))
    return Shift(ends[0], ends[1], twice=after < before)


def _count(connection: Connection, table: str, rows: OldRows, shift: Shift) -> int:
    """Rows in that hour; of instants none, since the server has decided when it stored them."""
    if rows.first is not None and rows.first.tzinfo is not None:
        return 0
    sql = f"SELECT count(*) FROM {table} WHERE ts >= :start AND ts < :end"  # noqa: S608
    ends = {"start": str(shift.start), "end": str(shift.end)}
    return int(connection.execute(text(sql), ends).scalar_one())


def _time(connection: Connection, value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise _no_time(value) from error
    at: datetime = value
    if not MINYEAR < at.year < MAXYEAR:
        # In another zone it would be beyond what a datetime holds.
        raise _no_time(value)
    # The session's zone is UTC, so that is what a TIMESTAMP is given in.
    return at.replace(tzinfo=UTC) if connection.dialect.name in {"mysql", "mariadb"} else at


def _no_time(value: object) -> SchemaError:
    return SchemaError(
        f"data.ts: {str(value)!r}, expected a time such as 2019-11-03 01:30:00.000000: mend that"
        " row or delete it"
    )
