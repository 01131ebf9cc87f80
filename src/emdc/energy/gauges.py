"""What the values of one metric were over a cell and its half minutes.

A cell of seconds has 900 rows of perhaps a hundred metrics: whatever is done is done by a builtin
on a whole column.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import fsum
from typing import Any, Final, NamedTuple, TypeAlias

from emdc.energy.answers import cell_of
from emdc.energy.precision import number, twelve
from emdc.reading import Value

HALF_MINUTES: Final = 30
_HALF_MINUTE_S: Final = 30
_MANY_ROWS: Final = 60

Halves: TypeAlias = list[list[Any]]
"""n, min, max, mean and last of each half minute of a cell; n is 0 and the others None where
nothing was read."""


class Stats(NamedTuple):
    """The numbers of one metric in a span."""

    number: int
    total: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    first: float | None = None
    last: float | None = None
    clean: bool = False
    """All that was read are numbers."""

    @property
    def mean(self) -> float | None:
        """With twelve digits; the value itself where it was always the same."""
        if self.minimum == self.maximum:
            return self.minimum
        return twelve(self.total / self.number)


NOTHING: Final = Stats(0)


def columns(rows: Sequence[Sequence[Value]], slots: int) -> Iterator[Sequence[Any]]:
    """The values of each slot. Rows may be shorter than there are slots; what is beyond is left."""
    if set(map(len, rows)) != {slots}:
        rows = [(*row[:slots], *(None,) * (slots - len(row))) for row in rows]
    return zip(*rows, strict=True) if rows else iter([()] * slots)


def by_slot(
    ats: Sequence[float], table: Sequence[Sequence[Any]], *, numeric: Sequence[bool]
) -> tuple[list[Stats | None], list[Halves | None] | None]:
    """What the numbers of each column were, None for texts; and in half minutes, if there are many.

    `ats`: the times of the rows, all of one cell.
    """
    if len(ats) <= _MANY_ROWS:
        each = zip(numeric, table, strict=True)
        return [gauge_stats(column) if ok else None for ok, column in each], None
    spans = half_minutes(ats)
    found: list[tuple[Stats | None, Halves | None]] = [
        halved(column, spans) if ok else (None, None)
        for ok, column in zip(numeric, table, strict=True)
    ]
    return [seen for seen, _ in found], [halves for _, halves in found]


def gauge_stats(column: Sequence[Any]) -> Stats:
    """What the numbers of a column were, in the order of time."""
    clean = True
    try:
        total = fsum(column)  # the quickest way to learn that all are numbers
    except TypeError:
        clean = False
        column = [value for value in map(number, column) if value is not None]
        total = fsum(column)
    if not column:
        return NOTHING
    return Stats(len(column), total, min(column), max(column), column[0], column[-1], clean)


def half_minutes(ats: Sequence[float]) -> list[slice]:
    """Where each half minute of a cell is among its rows."""
    start = cell_of(ats[0])
    cuts = [bisect_left(ats, start + _HALF_MINUTE_S * half) for half in range(HALF_MINUTES + 1)]
    return [slice(low, high) for low, high in pairwise(cuts)]


def halved(column: Sequence[Any], spans: Sequence[slice]) -> tuple[Stats, Halves | None]:
    """What the numbers of a cell were, and those of its half minutes; None: there were none.

    Twice as quick as both by themselves, and the mean is the one of the half minutes' sums.
    """
    parts = [column[span] for span in spans]
    try:
        totals = list(map(fsum, parts))
        halves: Halves = [[*map(len, parts)], [*map(min, parts)], [*map(max, parts)]]
    except (TypeError, ValueError):  # a gap, a text, or nothing in one of them
        return _halved_with_gaps([gauge_stats(part) for part in parts])
    numbers, minima, maxima = halves
    means = map(_mean, totals, numbers, minima, maxima)
    whole = Stats(
        len(column), fsum(totals), min(minima), max(maxima), column[0], column[-1], clean=True
    )
    return whole, [*halves, [*means], [part[-1] for part in parts]]


def _halved_with_gaps(stats: Sequence[Stats]) -> tuple[Stats, Halves | None]:
    read = [each for each in stats if each.number]
    if not read:
        return NOTHING, None
    numbers, totals, minima, maxima, *_ = zip(*read, strict=True)
    whole = Stats(
        sum(numbers), fsum(totals), min(minima), max(maxima), read[0].first, read[-1].last
    )
    return whole, [
        [each.number for each in stats],
        [each.minimum for each in stats],
        [each.maximum for each in stats],
        [each.mean for each in stats],
        [each.last for each in stats],
    ]


def _mean(total: float, number: int, least: float, most: float) -> float:
    return least if least == most else twelve(total / number)
