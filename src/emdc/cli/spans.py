"""Times of history on a command line, and how they are printed: by the clock of the meter's zone.

Whatever cannot be meant is a ConfigError that names its flag and says what was expected.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from emdc.config.table import Setting
from emdc.config.values import shown
from emdc.energy.periods import instant
from emdc.energy.spans import Span, step_seconds
from emdc.errors import ConfigError

TIMES: Final = (
    "ISO 8601, without a zone by the meter's clock; a date; now, today, yesterday; so long ago in"
    " s, min, h, d or w, such as -12h or -7d"
)
END: Final = Setting(
    "", "end", "text", None, "End, which is not part of it, as --start; default now"
)

Earlier = Callable[[float, ZoneInfo], float]
"""Where a span begins that ends at an instant, when nobody says."""


def start_flag(default: str) -> Setting:
    """The flag --start of a command; `default` says what holds without it."""
    return Setting("", "start", "text", None, f"First instant: {TIMES}; {default}")


def moment(flag: str, text: str, zone: ZoneInfo, now: float) -> float:
    """The instant that a flag says. Raises ConfigError."""
    try:
        return instant(text, zone, now)
    except ValueError as error:
        raise ConfigError(f"--{flag}: {error}") from error


def span_of(
    start: str | None, end: str | None, *, zone: ZoneInfo, now: float, earlier: Earlier
) -> Span:
    """The span that --start and --end name. Raises ConfigError."""
    last = moment("end", end, zone, now) if end else now
    first = moment("start", start, zone, now) if start else earlier(last, zone)
    if first >= last:
        raise ConfigError(
            f"--start: {start or 'not given'} is {iso(first, zone)} and --end {end or 'now'} is"
            f" {iso(last, zone)}, expected a start before the end"
        )
    return Span(first, last)


def step_of(text: str | None) -> float | None:
    """Seconds of --step; None when it is not given. Raises ConfigError."""
    if text is None:
        return None
    try:
        return step_seconds(text)
    except ValueError as error:
        raise ConfigError(f"--step: {shown(text)}, {error}") from error


def iso(at: float, zone: ZoneInfo) -> str:
    """An instant for programs, and to be copied: ISO 8601 with the zone's offset."""
    return datetime.fromtimestamp(at, zone).isoformat()


def column(times: Sequence[float], zone: ZoneInfo) -> list[str]:
    """Instants for people, all with the same digits; the zone is said once beside them.

    Only where the clock shows a time twice, in autumn, its offset follows.
    """
    digits = _digits(times)
    return [_local(datetime.fromtimestamp(at, zone), digits) for at in times]


def _digits(times: Sequence[float]) -> str:
    if all(at % 60 == 0 for at in times):
        return "minutes"
    if all(at % 1 == 0 for at in times):
        return "seconds"
    microseconds = (round(at * 1e6) for at in times)
    return "microseconds" if any(us % 1000 for us in microseconds) else "milliseconds"


def _local(at: datetime, digits: str) -> str:
    text = at.replace(tzinfo=None).isoformat(" ", digits)
    if at.replace(fold=0).utcoffset() == at.replace(fold=1).utcoffset():
        return text
    ahead = at.utcoffset() or timedelta()
    sign, minutes = ("-", -ahead) if ahead < timedelta() else ("+", ahead)
    hours, rest = divmod(minutes // timedelta(minutes=1), 60)
    return f"{text}{sign}{hours:02}:{rest:02}"
