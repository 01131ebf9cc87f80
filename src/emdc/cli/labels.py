"""What the periods of an energy answer are called: in a table, and on the axis of a plot."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from emdc.cli.plots import label
from emdc.cli.spans import column
from emdc.energy.answers import EnergyAnswer, Per
from emdc.energy.periods import periods

# Weeks as ISO 8601 has them: the year is the one that their Thursday is in.
_NAMES: Final[dict[Per, str]] = {
    "day": "%Y-%m-%d",
    "week": "%G-W%V",
    "month": "%Y-%m",
    "year": "%Y",
}
_MARKS: Final[dict[Per, str]] = {**_NAMES, "day": "%m-%d", "week": "W%V"}
_TIME: Final = "%H:%M"
_DAY: Final = len("2026-03-01 ")
_LONG: Final = frozenset({"week", "month", "year"})


def labels(answer: EnergyAnswer) -> list[str]:
    """The names of all periods; one that the span cuts says where."""
    per, zone = answer.per, ZoneInfo(answer.topic.zone)
    starts = [one.start for one in answer.periods]
    end = answer.periods[-1].end
    if per == "total":
        return [" to ".join(column([starts[0] // 1, end // 1], zone))]
    form = _NAMES.get(per)
    if form is None:
        found = column([at // 60 * 60 for at in starts], zone)
    else:
        found = [datetime.fromtimestamp(at, zone).strftime(form) for at in starts]
        if not _is_bound(starts[0], per, zone):
            found[0] += f" from {_minute(starts[0], per, zone)}"
    if not _is_bound(end, per, zone):
        found[-1] += f" until {_minute(end, per, zone)}"
    return found


def marks(answer: EnergyAnswer) -> list[str]:
    """Short names of all periods."""
    zone, form = ZoneInfo(answer.topic.zone), _MARKS.get(answer.per, _TIME)
    return [label(one.start, zone, form) for one in answer.periods]


def _is_bound(at: float, per: Per, zone: ZoneInfo) -> bool:
    """Whether a period ends there by itself."""
    around = periods(max(at - 1, 0), at + 1, per, zone)
    return len(around) == 2 and around[1][0] == at


def _minute(at: float, per: Per, zone: ZoneInfo) -> str:
    """The minute; with its day where the period is longer than one."""
    text = column([at // 60 * 60], zone)[0]
    return text if per in _LONG else text[_DAY:]
