"""Local time: the hours, days, weeks, months and years of a zone, and instants as people say them.

A period ends where the zone's clock says that the next one begins, so a day has 23 or 25 hours when
the clock is set. Used by all that answers in periods, and by HTTP and commands for `start` and
`end`. Every function raises ValueError with "value, what was expected"; the caller adds where it
was. Pure: no clock; now is an argument.
"""

import math
import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from emdc.energy.answers import CELL_S, DAY_S, Per

Period: TypeAlias = tuple[float, float]
"""start ≤ t < end, seconds since 1970."""

MOST_PERIODS: Final = 100_000
"""Of one answer: eleven years of hours, almost three of quarter hours."""
END_OF_TIME: Final = 253_339_228_800.0
"""9998-01-01 UTC, after which no calendar here goes on."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_S: Final = 3600
_LENGTHS: Final[dict[Per, int]] = {
    "15min": CELL_S,
    "hour": _HOUR_S,
    "day": DAY_S,
    "week": 7 * DAY_S,
    "month": 28 * DAY_S,
    "year": 365 * DAY_S,
}
_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200, 86_400),
)

_EXPECTED: Final = (
    "expected such as 2026-03-01, 2026-03, 2026-03-01T12:00, 2026-03-01T12:00:00Z,"
    " 2026-03-01T12:00:00-08:00, now, today, yesterday, -7d or -12h"
)
_MONTH: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?")
_DATE: Final = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}")
_AGO: Final = re.compile(r"-([0-9]{1,9}) ?(s|m|min|h|d|w)")
_LIKE_AGO: Final = re.compile(r"-[0-9.,]+ ?[A-Za-z]*")
_UNITS: Final = (
    "; so long ago has a whole number and one of the units s, min, h, d and w, in small letters:"
    " for months and years give a date"
)
_NO_DAY: Final = "; there is no such day"
_LIKE_DAY: Final = re.compile(r"([0-9]{4})-?(0[1-9]|1[0-2])-?(29|30|31)(?:[Tt ].*)?")
_AGO_S: Final = {"s": 1, "m": 60, "min": 60, "h": _HOUR_S}
_AGO_DAYS: Final = {"d": 1, "w": 7}
_LONGEST: Final = 40
"""Characters of a time; ISO 8601 needs 32."""
_LOST_PLUS: Final = re.compile(r"(.*[Tt: ].*) ([0-9]{2}:?[0-9]{2})")
"""An address of HTTP in which the + before the offset was not written %2B, which is a blank."""


def periods(start: float, end: float, per: Per, zone: ZoneInfo) -> list[Period]:
    """The span in local periods, in order, without hole or overlap.

    The first and the last are cut to the span. Quarter hours are those of UTC; an hour also ends
    where the clock is set within it. Empty when start is not before end. Raises ValueError for a
    span outside the calendar, or with more than MOST_PERIODS.
    """
    if not start < end:
        return []
    if start < 0 or end > END_OF_TIME:
        raise ValueError(f"{start:.15g} to {end:.15g}, expected 1970 to 9997")
    most = (end - start) / _LENGTHS.get(per, math.inf)
    if most > MOST_PERIODS:
        raise ValueError(
            f"{most:.0f} periods of one {per}, expected at most {MOST_PERIODS}:"
            " take longer periods or a shorter span"
        )
    return list(pairwise([start, *_starts(start, end, per, zone), end]))


def _starts(start: float, end: float, per: Per, zone: ZoneInfo) -> list[float]:
    """Where periods begin within the span, its ends left out."""
    if per == "total":
        return []
    if per == "15min":
        return _multiples(start, end, CELL_S)
    if per == "hour":
        return _hours(start, end, zone)
    first = datetime.fromtimestamp(start, zone).date()
    begins = (_midnight(day, zone) for day in _following(first, per))
    # A day that a zone left out begins where the next one does, and a midnight that came twice is
    # the first: neither is a second beginning.
    return sorted({at for at in takewhile(lambda at: at < end, begins) if at > start})


def _following(day: date, per: Per) -> Iterator[date]:
    """First days of the periods after the one that `day` lies in."""
    while True:
        if per == "day":
            day += timedelta(days=1)
        elif per == "week":  # of ISO 8601: it begins on Monday
            day += timedelta(days=7 - day.weekday())
        elif per == "month" and day.month < 12:
            day = date(day.year, day.month + 1, 1)
        else:
            day = date(day.year + 1, 1, 1)
        yield day


def _midnight(day: date, zone: ZoneInfo) -> float:
    """Where a local day begins; with a midnight that the clock skips, where it was set."""
    return _seconds(datetime(day.year, day.month, day.day, tzinfo=zone))


def _seconds(at: datetime) -> float:
    return (at - _EPOCH).total_seconds()


def _multiples(start: float, end: float, step: int, offset: int = 0) -> list[float]:
    """All t with start < t < end for which t + offset is a multiple of `step`."""
    first = int((start + offset) // step + 1) * step - offset
    return [float(at) for at in range(first, math.ceil(end), step)]


def _hours(start: float, end: float, zone: ZoneInfo) -> list[float]:
    """Full hours of the clock, and where it was set."""
    found: list[float] = []
    for low, high, offset in _stretches(start, end, zone):
        if low > start:
            found.append(low)
        found += _multiples(low, high, _HOUR_S, offset)
    return found


def _stretches(start: float, end: float, zone: ZoneInfo) -> Iterator[tuple[float, float, int]]:
    """The span in parts in which the clock was not set: start, end, seconds ahead of UTC."""
    begin, offset = start, _offset(start, zone)
    for low, high in pairwise([start, *_multiples(start, end, DAY_S), end]):
        if _offset(high, zone) == offset:
            continue
        before, after = math.floor(low), math.ceil(high)
        while after - before > 1:
            middle = (before + after) // 2
            if _offset(middle, zone) == offset:
                before = middle
            else:
                after = middle
        if after >= end:
            break
        yield begin, float(after), offset
        begin, offset = float(after), _offset(after, zone)
    yield begin, end, offset


def _offset(at: float, zone: ZoneInfo) -> int:
    ahead = datetime.fromtimestamp(at, zone).utcoffset()
    assert ahead is not None
    return int(ahead.total_seconds())


def instant(text: str, zone: ZoneInfo, now: float) -> float:
    """Seconds since 1970 of a time as people say it.

    ISO 8601 with an offset, or without one and then in `zone`; a date, a month or a year, which
    mean where they begin; `now`, `today`, `yesterday`; `-7d`, `-12h`, in s, min or m, h, d and w.
    Days ago are as many days of the calendar. A local time that came twice is the first. Raises
    ValueError.
    """
    said = text.strip()
    try:
        if len(said) > _LONGEST:
            raise ValueError
        at = _said(said, zone, now)
        if at is None:
            at = _iso(said, zone)
    except (ValueError, OverflowError):
        raise ValueError(_refusal(text)) from None
    if not 0 <= at < END_OF_TIME:
        raise ValueError(f"{_shown(text)}, expected a time from 1970 to 9997")
    return at


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:59] + "…")


def _refusal(text: str) -> str:
    """What was said, what may be wrong with it, and what was expected."""
    said = text.strip()
    why = _NO_DAY if _is_no_day(said) else _UNITS if _LIKE_AGO.fullmatch(said) else ""
    return f"{_shown(text)}, {_EXPECTED}{why}"


def _is_no_day(said: str) -> bool:
    """Whether it begins with a day that its month does not have."""
    found = _LIKE_DAY.fullmatch(said)
    return found is not None and int(found[3]) > monthrange(int(found[1]), int(found[2]))[1]


def _said(said: str, zone: ZoneInfo, now: float) -> float | None:
    """The instant of a word, of so long ago, or of a month or year; None: it is none of these."""
    word = said.lower()
    if word == "now":
        return now
    here = datetime.fromtimestamp(now, zone)
    if word in {"today", "yesterday"}:
        return _midnight(here.date() - timedelta(days=word == "yesterday"), zone)
    # Not in any case: -1M would be a minute for one, and a month for another.
    if found := _AGO.fullmatch(said):
        number, unit = int(found[1]), found[2]
        if unit in _AGO_S:
            return now - number * _AGO_S[unit]
        return _seconds(here - timedelta(days=number * _AGO_DAYS[unit])) if number else now
    if found := _MONTH.fullmatch(word):
        return _midnight(date(int(found[1]), int(found[2] or 1), 1), zone)
    return None


def _iso(text: str, zone: ZoneInfo) -> float:
    if _DATE.fullmatch(text):
        return _midnight(date.fromisoformat(text), zone)
    found = _LOST_PLUS.fullmatch(text)
    at = datetime.fromisoformat(f"{found[1]}+{found[2]}" if found else text)
    return _seconds(at.replace(tzinfo=zone) if at.tzinfo is None else at)


def nice_step(span_s: float, points: int, least_s: float = 1.0, *, start: float = 0.0) -> float:
    """The shortest round step of at least `least_s` with which a span has at most `points` steps.

    Steps are aligned to UTC: one that the span only touches counts. `start` is the span's, since
    1970. From one day on they are 1, 2 and 5 times a power of ten days.
    """
    if points < 1:
        raise ValueError(f"{points} points, expected at least 1")
    end = start + span_s
    return float(
        next(
            step
            for step in _steps()
            if step >= least_s and math.ceil(end / step) - math.floor(start / step) <= points
        )
    )


def _steps() -> Iterator[int]:
    yield from _STEPS
    days = DAY_S
    while True:
        yield from (2 * days, 5 * days, 10 * days)
        days *= 10
