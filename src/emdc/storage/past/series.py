"""Summaries of a topic, of whatever length, joined to steps.

A reading, a half minute and a quarter hour are joined alike: sums by `math.fsum`, so that the
answer does not depend on the engine. Pure.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import fsum
from operator import mul
from typing import Any, Final, NamedTuple

from emdc.energy.answers import Bucket
from emdc.energy.precision import twelve
from emdc.storage.past.tokens import Points


class Summaries(NamedTuple):
    """What a topic was from each of `starts` on, in order of time; columns of equal length.

    Nothing is None and no count is 0.
    """

    starts: Sequence[float]
    counts: Sequence[int]
    minima: Sequence[float]
    maxima: Sequence[float]
    means: Sequence[float]
    firsts: Sequence[float]
    lasts: Sequence[float]

    @classmethod
    def of(cls, columns: Iterable[Sequence[Any]]) -> "Summaries":
        """From its columns."""
        return cls(*columns)

    def where(self, places: Iterable[int]) -> "Summaries":
        """Those at some places, in that order."""
        some = list(places)
        return Summaries.of([column[place] for place in some] for column in self)

    def within(self, start: float, end: float) -> "Summaries":
        """Those that begin at start ≤ t < end."""
        low, high = bisect_left(self.starts, start), bisect_left(self.starts, end)
        return Summaries.of(column[low:high] for column in self)


NONE: Final = Summaries([], [], [], [], [], [], [])


def of_points(points: Points) -> Summaries:
    """Each reading by itself."""
    values = points.values
    return Summaries(points.times, [1] * len(values), values, values, values, values, values)


def chained(parts: Iterable[Summaries]) -> Summaries:
    """One after the other."""
    some = [part for part in parts if part.starts]
    if len(some) == 1:
        return some[0]
    return Summaries.of([cell for part in some for cell in part[column]] for column in range(7))


def buckets(parts: Summaries) -> list[Bucket]:
    """Each summary as a bucket of its own."""
    return list(map(Bucket._make, zip(*parts, strict=True)))


def joined(parts: Summaries, step_s: float) -> list[Bucket]:
    """One bucket for each multiple of `step_s` since 1970 in which anything begins."""
    starts, counts, minima, maxima, means, firsts, lasts = parts
    keys = [int(start // step_s) for start in starts]
    edges = [0, *(at for at, (a, b) in enumerate(pairwise(keys), 1) if a != b), len(keys)]
    weighted = list(map(mul, means, counts))
    found = []
    for low, high in pairwise(edges) if keys else ():
        if high - low == 1:
            count, mean = counts[low], means[low]
            lowest, highest = minima[low], maxima[low]
        else:
            count = sum(counts[low:high])
            mean = twelve(fsum(weighted[low:high]) / count)
            lowest, highest = min(minima[low:high]), max(maxima[low:high])
        start = keys[low] * step_s
        found.append(Bucket(start, count, lowest, highest, mean, firsts[low], lasts[high - 1]))
    return found
