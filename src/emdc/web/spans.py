"""Times in requests and answers: what `start`, `end` and `step` mean, and how an instant is told.

Whatever cannot be meant is 400 with what was expected. Pure: now is an argument.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from emdc.energy.periods import instant
from emdc.web.exchange import Parameter, quoted, refuse

TIMES: Final = (
    "ISO 8601, with an offset or Z or else by the clock of the meter's time zone; a date, which "
    "means its midnight there; now, today, yesterday, -12h or -7d"
)
START: Final = Parameter("start", f"first instant: {TIMES}. Default: a day before the end")
END: Final = Parameter("end", "end, which is not part of it, as start. Default: now")

_STEP: Final = re.compile(r"([0-9]{1,9}) ?(s|m|min|h|d|)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_LONGEST_STEP_S: Final = 366 * 86_400


class Span(NamedTuple):
    """start ≤ t < end, seconds since 1970."""

    start: float
    end: float


def a_day_before(end: float, zone: ZoneInfo) -> float:
    """The same time of the day before."""
    return instant("-1d", zone, end)


def midnight_a_week_before(end: float, zone: ZoneInfo) -> float:
    """Where the local day begins that is seven days before the one of `end`."""
    return instant("today", zone, instant("-7d", zone, end))


def span_of(
    given: Mapping[str, Any],
    zone: ZoneInfo,
    *,
    now: float,
    earlier: Callable[[float, ZoneInfo], float] = a_day_before,
) -> Span:
    """The span that `start` and `end` name; without a start it begins `earlier`. Raises 400."""
    end = _told("end", partial(instant, given["end"] or "now", zone, now))
    start = given["start"]
    begin = _told(
        "start", partial(instant, start, zone, now) if start else partial(earlier, end, zone)
    )
    if begin >= end:
        raise refuse(
            400,
            f"start={quoted(start or '')} is {iso(begin)} and end={quoted(given['end'] or 'now')} "
            f"is {iso(end)}: expected a start before the end",
        )
    return Span(begin, end)


def step_of(text: str | None) -> float | None:
    """Seconds of a step; None when it is not given. Raises 400."""
    if not text:
        return None
    found = _STEP.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else -1
    if not 0 <= seconds <= _LONGEST_STEP_S:
        raise refuse(
            400,
            f"step={quoted(text)}: expected whole seconds up to 366 days, such as 60, 30s, 15min, "
            "1h or 1d, or 0 for the readings themselves",
        )
    return float(seconds)


def utc(at: float) -> datetime:
    """An instant for JSON."""
    return datetime.fromtimestamp(at, UTC)


def instants(times: Iterable[float]) -> list[datetime]:
    """The same of many."""
    return list(map(datetime.fromtimestamp, times, repeat(UTC)))


def iso(at: float) -> str:
    """An instant as text: ISO 8601 with Z, microseconds only where there are any."""
    return f"{utc(at).isoformat()[:-6]}Z"


def isos(times: Iterable[float]) -> list[str]:
    """The same of many."""
    # A JSON array of them is written without a call for each.
    return msgspec.json.encode(instants(times))[2:-2].decode().split('","')


def _told(name: str, meaning: Callable[[], float]) -> float:
    try:
        return meaning()
    except ValueError as error:
        raise refuse(400, f"{name}={error}") from error
