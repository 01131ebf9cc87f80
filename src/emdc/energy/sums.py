"""What a counter counted in periods, from its quarter hours.

Cutting a span anywhere changes no total: a period that begins or ends within a quarter hour takes
what is said of that part of it, else its share of it by time. A period of whole quarter hours costs
a few calls, not one for each. Pure.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar, cast

from emdc.energy.answers import CELL_S, Consumption, Quality
from emdc.energy.periods import Period


class Columns(NamedTuple):
    """Quarter hours of one topic in order of time, none twice; some may be missing."""

    ts: Sequence[float]
    """Where each begins, a multiple of CELL_S."""
    energies: Sequence[float | None]
    counts: Sequence[int | None]
    dues: Sequence[int | None]
    """None: nothing was due, as 0."""
    qualities: Sequence[int | None]
    """Of Quality; None where the energy is."""


class Stretch(NamedTuple):
    """What was counted since the last quarter hour that is known: start ≤ t < end."""

    start: float
    end: float
    energy: float
    quality: Quality


class Part(NamedTuple):
    """What was counted in that part of a quarter hour that is asked for."""

    energy: float | None
    """None: nothing is known."""
    quality: Quality | None
    """None when the energy is."""


NO_PARTS: Final[Mapping[float, Part]] = MappingProxyType({})


def pieces(period: Period) -> list[Period]:
    """The quarter hours that a period has only in part, each as that part: at most two."""
    start, end = period
    low, high = -(-start // CELL_S) * CELL_S, end // CELL_S * CELL_S
    if low > high:
        return [period]
    first = [(start, low)] if start < low else []
    return [*first, (high, end)] if high < end else first


def consumption(  # noqa: PLR0913 - what is counted, in what, and what is known beside
    cells: Columns,
    periods: Sequence[Period],
    *,
    now: float,
    began: float | None = None,
    since: Stretch | None = None,
    parts: Mapping[float, Part] = NO_PARTS,
) -> list[Consumption]:
    """What was counted in each of the periods, which are in order of time.

    `cells` need to be those of the periods only. One that is missing there, began at `began` or
    later and ended by `now`, was due as the one before it and not read; without `began` none is
    missing before the first. What was read beyond the due of a quarter hour makes up for no other.
    `since` is shared by time. `parts` says what was counted in the `pieces` of the periods, by the
    start of the quarter hour; one that is not in it is shared by time. Totals have 15 significant
    digits.
    """
    grid = _grid(cells, periods, now, began)
    return [_of_period(grid, period, since, parts) for period in periods]


_QUALITIES: Final = tuple(Quality)
_T = TypeVar("_T")


class _Grid(NamedTuple):
    """Quarter hours without a hole; no due and no count is None."""

    begin: float
    energies: list[float | None]
    counts: list[int]
    dues: list[int]
    qualities: list[int | None]


def _grid(cells: Columns, periods: Sequence[Period], now: float, began: float | None) -> _Grid:
    if not cells.ts or not periods:
        return _Grid(0.0, [], [], [], [])
    ts, dues = cells.ts, _numbers(cells.dues)
    # Mostly all that was due was read, and to see that is faster than to look for None again.
    counts = dues if cells.counts == dues else _numbers(cells.counts)
    first = ts[0] if began is None else max(began, periods[0][0])
    lead = max(0, round(ts[0] / CELL_S) - math.ceil(first / CELL_S))
    trail = max(0, int((min(now, periods[-1][1]) - ts[-1]) // CELL_S) - 1)
    holes = [(0, lead, dues[0]), *_holes(ts, dues), (len(ts), trail, dues[-1])]
    holes = [hole for hole in holes if hole[1]]
    return _Grid(
        ts[0] - lead * CELL_S,
        _filled(cells.energies, [(place, [None] * missing) for place, missing, _ in holes]),
        _filled(counts, [(place, [0] * missing) for place, missing, _ in holes]),
        _filled(dues, [(place, [due] * missing) for place, missing, due in holes]),
        _filled(cells.qualities, [(place, [None] * missing) for place, missing, _ in holes]),
    )


def _numbers(column: Sequence[int | None]) -> Sequence[int]:
    if None in column:
        return [number or 0 for number in column]
    return cast("Sequence[int]", column)


def _holes(ts: Sequence[float], dues: Sequence[int]) -> list[tuple[int, int, int]]:
    """(index of the quarter hour behind it, how many are missing, the due before it) of each."""
    if ts[-1] - ts[0] == (len(ts) - 1) * CELL_S:
        return []
    return [
        (index, round((after - before) / CELL_S) - 1, dues[index - 1])
        for index, (before, after) in enumerate(pairwise(ts), start=1)
        if after - before != CELL_S
    ]


def _filled(column: Sequence[_T], holes: Sequence[tuple[int, list[_T]]]) -> list[_T]:
    """The column with what stands in each hole, which is before the index beside it."""
    filled: list[_T] = []
    done = 0
    for place, missing in holes:
        filled += column[done:place]
        filled += missing
        done = place
    return [*filled, *column[done:]]


def _of_period(
    grid: _Grid, period: Period, since: Stretch | None, parts: Mapping[float, Part]
) -> Consumption:
    start, end = period
    length = len(grid.dues)
    begin = min(max((start - grid.begin) / CELL_S, 0.0), length)
    stop = min(max((end - grid.begin) / CELL_S, 0.0), length)
    low, high = math.ceil(begin), math.floor(stop)
    energies, qualities = grid.energies[low:high], grid.qualities[low:high]
    counts, dues = grid.counts[low:high], grid.dues[low:high]
    due: float = sum(dues)
    read: float = due if counts == dues else _read(counts, dues)
    for index, share in _cut(begin, stop):
        cell = grid.begin + index * CELL_S
        energy, quality = parts.get(cell) or _shared(grid, index, share)
        energies.append(energy)
        qualities.append(quality)
        due += grid.dues[index] * share
        read += min(grid.counts[index], grid.dues[index]) * share
    if since is not None and (share := _share(since, period)):
        energies.append(since.energy * share)
        qualities.append(since.quality)
    if None in energies:
        energies = [energy for energy in energies if energy is not None]
    completeness = min(100.0, 100.0 * read / due) if due else None
    total = _total(cast("list[float]", energies)) if energies else None
    return Consumption(start, end, total, completeness, _worst(qualities) if energies else None)


def _shared(grid: _Grid, index: int, share: float) -> tuple[float | None, int | None]:
    energy = grid.energies[index]
    return None if energy is None else energy * share, grid.qualities[index]


def _read(counts: Sequence[int], dues: Sequence[int]) -> int:
    """How many of what was due, quarter hour by quarter hour."""
    return sum(counts) if all(map(operator.le, counts, dues)) else sum(map(min, counts, dues))


def _cut(begin: float, stop: float) -> list[tuple[int, float]]:
    """(index, share) of the quarter hours that lie in begin ≤ t < stop only in part."""
    low, high = math.ceil(begin), math.floor(stop)
    if low > high:
        return [(high, stop - begin)]
    first = [(low - 1, low - begin)] if begin < low else []
    return [*first, (high, stop - high)] if high < stop else first


def _share(since: Stretch, period: Period) -> float:
    """The part of the stretch that lies in the period; one without length is at its start."""
    length = since.end - since.start
    if length <= 0:
        return float(period[0] <= since.start < period[1])
    return max(0.0, min(since.end, period[1]) - max(since.start, period[0])) / length


def _worst(qualities: Sequence[int | None]) -> Quality | None:
    worst = max((quality for quality in set(qualities) if quality is not None), default=None)
    return None if worst is None else _QUALITIES[worst]


def _total(energies: Sequence[float]) -> float:
    """Their sum without the last digit of a double, in which 0.1 + 0.2 is not 0.3."""
    total = math.fsum(energies)
    return total if total.is_integer() else float(f"{total:.15g}")
