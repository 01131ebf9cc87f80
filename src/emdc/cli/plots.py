"""Lines and bars in a terminal, by plotext: as wide as it is, readable without colour and in pipes.

The only module that knows the package, which an extra brings.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from emdc.cli.terminal import is_screen
from emdc.energy.answers import Per
from emdc.energy.periods import periods
from emdc.errors import ConfigError

HEIGHT: Final = 24
"""Lines of a plot, on a screen that has them."""
PIPED: Final = (100, HEIGHT + 2)
"""Columns and lines of a screen that nobody knows."""

_LEAST: Final = (30, 8)
_BELOW: Final = 3
"""Lines of a screen for what stands over the plot, and for the prompt below it."""
_AXIS: Final = 10
"""Columns of the axis of values, about."""
_TICK: Final = 11
"""Columns that a label of the time axis has for itself."""
_COLOUR: Final = "cyan+"
_DOTS: Final = "braille"
_BLOCK: Final = "█"
_PLAIN: Final = "*"
_FRAME: Final = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")
_SECONDS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_HOURS: Final = (1, 2, 3, 6, 12)
_EVERY: Final = (1, 2, 3, 4, 6, 12, 24, 48, 96, 192, 384, 768)
"""Labels of bars, so that among those of hours are the midnights."""
_PERIODS: Final[tuple[tuple[Per, str], ...]] = (
    ("day", "%m-%d"),
    ("month", "%Y-%m"),
    ("year", "%Y"),
)


def dots() -> int:
    """So many points of a line can be told apart: a column has two dots beside each other."""
    return 2 * max(shutil.get_terminal_size(PIPED).columns, _LEAST[0])


class Line(NamedTuple):
    """Points of a line that is not broken."""

    times: Sequence[float]
    values: Sequence[float]


def lines(pieces: Sequence[Line], start: float, end: float, zone: ZoneInfo) -> str:
    """A line over a span, broken between the pieces."""
    plot, width = _opened()
    mark = _DOTS if _is_utf8() else _PLAIN
    for piece in pieces:
        draw = plot.plot if len(piece.times) > 1 else plot.scatter
        draw(list(piece.times), list(piece.values), marker=mark, color=_COLOUR)
    plot.xlim(start, end)
    _spread(plot, [value for piece in pieces for value in piece.values])
    marked = ticks(start, end, zone, max(2, width // _TICK))
    plot.xticks([at for at, _ in marked], [text for _, text in marked])
    return _drawn(plot)


def bars(labels: Sequence[str], values: Sequence[float | None]) -> str:
    """A bar for each label; none where there is no value."""
    plot, width = _opened()
    mark = _BLOCK if _is_utf8() else "#"
    places = list(range(1, len(labels) + 1))
    heights = [value or 0.0 for value in values]
    plot.bar(places, heights, width=0.7, marker=mark, color=_COLOUR)
    plot.xlim(0.5, len(labels) + 0.5)
    if not any(heights):
        plot.ylim(0, 1)
    longest = max(map(len, labels), default=1) + 2
    fewest = len(labels) * longest / (width - _AXIS)
    every = next((every for every in _EVERY if every >= fewest), len(labels))
    plot.xticks(places[::every], list(labels[::every]))
    return _drawn(plot)


def ticks(start: float, end: float, zone: ZoneInfo, most: int) -> list[tuple[float, str]]:
    """Round local times of a span with their labels, at most `most` (and few more with days)."""
    for step in _SECONDS:
        if (end - start) / step <= most:
            form = "%H:%M" if step % 60 == 0 else "%H:%M:%S"
            first = int(-(-start // step) * step)
            return [(float(at), label(at, zone, form)) for at in range(first, int(end) + 1, step)]
    if (end - start) / 3600 / _HOURS[-1] <= most:
        full = [at for at in _starts(start, end, "hour", zone) if _of(at, zone).minute == 0]
        hours = next(hours for hours in _HOURS if (end - start) / 3600 / hours <= most)
        return [(at, label(at, zone, "%H:%M")) for at in full if _of(at, zone).hour % hours == 0]
    for per, form in _PERIODS:
        ats = _starts(start, end, per, zone)
        if len(ats) <= most * 7 or per == "year":
            every = -(-len(ats) // most)
            return [(at, label(at, zone, form)) for at in ats[:: max(every, 1)]]
    return []


def _starts(start: float, end: float, per: Per, zone: ZoneInfo) -> list[float]:
    """Where periods begin in a span."""
    return [after[0] for _, after in pairwise(periods(start - 1, end + 1, per, zone))]


def label(at: float, zone: ZoneInfo, form: str) -> str:
    """A label of the time axis: with a time the day alone where it begins."""
    local = _of(at, zone)
    is_midnight = (local.hour, local.minute, local.second) == (0, 0, 0)
    return local.strftime("%m-%d" if is_midnight and "%H" in form else form)


def _of(at: float, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at, zone)


def require() -> Any:
    """The package. Raises ConfigError that says how to install it."""
    try:
        import plotext  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise ConfigError(
            "--plot: needs the package plotext, which is not installed:"
            " pip install 'emdc[plot]', in a clone .venv/bin/pip install -e '.[plot]'"
        ) from error
    return plotext


def _opened() -> tuple[Any, int]:
    """The package with an empty figure, and the columns that it has."""
    columns, rows = shutil.get_terminal_size(PIPED)
    width = max(columns, _LEAST[0])
    plot = require()
    plot.clear_figure()
    plot.theme("clear")
    plot.limit_size(False, False)
    plot.plot_size(width, min(max(rows - _BELOW, _LEAST[1]), HEIGHT))
    return plot, width


def _spread(plot: Any, values: Sequence[float]) -> None:
    """Give a line that is level some room."""
    low, high = min(values), max(values)
    if low == high:
        room = abs(low) / 10 or 1.0
        plot.ylim(low - room, high + room)


def _drawn(plot: Any) -> str:
    text = str(plot.build())
    if not _is_coloured():
        text = plot.uncolorize(text)
    if not _is_utf8():
        text = text.translate(_FRAME)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _is_coloured() -> bool:
    return is_screen() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _is_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
