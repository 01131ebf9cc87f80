"""Instants as the database keeps them, and the grid of ticks.

Used by every module of this package. A stored instant is text of 26 characters in UTC,
`YYYY-MM-DD HH:MM:SS.ffffff`: it sorts as time does and compares with a bare date.
Pure: no clock.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

INSTANT_CHARS: Final = 26
MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_text(at: datetime) -> str:
    """`at` in UTC as 26 characters; raises ValueError when it has no time zone."""
    if at.tzinfo is not UTC:
        if at.tzinfo is None:
            raise ValueError(f"{at!r} has no time zone, expected UTC")
        at = at.astimezone(UTC)
    return at.isoformat(" ", "microseconds")[:INSTANT_CHARS]


def from_text(text: str) -> datetime:
    """The instant of a stored text, in UTC; raises ValueError when it is none."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def to_microseconds(at: datetime) -> int:
    """Microseconds since 1970-01-01 UTC."""
    return (at - _EPOCH) // MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The instant so many microseconds after 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def seconds_of(text: str) -> float:
    """A stored instant in seconds since 1970."""
    return from_text(text).timestamp()


def text_of(at: float) -> str:
    """A stored instant, from seconds since 1970."""
    return to_text(datetime.fromtimestamp(at, UTC))


def step_of(interval_s: float) -> int:
    """An interval in whole microseconds, at least one."""
    return max(1, round(interval_s * 1e6))


def first_tick(at: datetime, interval_s: float) -> datetime:
    """The first tick at or after `at`: a multiple of the interval since 1970-01-01 UTC."""
    step = step_of(interval_s)
    return from_microseconds(-(-to_microseconds(at) // step) * step)
