"""Times in requests and answers: what `start`, `end` and `step` mean, and how an instant is told.

Whatever cannot be meant is 400 with what was expected. Pure: now is an argument.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from emdc.energy.periods import instant
from emdc.energy.spans import Span, a_day_before, step_seconds
from emdc.web.exchange import Parameter, quoted, refuse

TIMES: Final = (
    "ISO 8601, with an offset or Z or else by the clock of the meter's time zone; a date, which "
    "means its midnight there; now, today, yesterday; so long ago in s, min, h, d or w, such as "
    "-12h or -7d"
)
START: Final = Parameter("start", f"first instant: {TIMES}. Default: a day before the end")
END: Final = Parameter("end", "end, which is not part of it, as start. Default: now")


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
    try:
        return step_seconds(text.strip())
    except ValueError as error:
        raise refuse(400, f"step={quoted(text)}: {error}") from error


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
