"""The accepted points of one counter, and what it counted between them and between boundaries.

A step over a boundary is shared by time. Parts are reckoned with in decimals, so that those of a
step add up to it exactly, and those of all cells to what the counter rose.
"""

from bisect import bisect_left
from collections.abc import Sequence

from emdc.energy.counter import Edge, Epoch, Point
from emdc.energy.leaps import Leap
from emdc.energy.precision import rise, share, total


class Curve:
    """Points in order of time, as columns.

    `values` never fall but at `leaps`: index of the point after it → what the leap was.
    """

    __slots__ = ("ats", "leaps", "values")

    def __init__(self, tail: Sequence[Point]) -> None:
        self.ats = [point.at for point in tail]
        self.values = [point.value for point in tail]
        self.leaps: dict[int, Leap] = {}

    def energy(self, index: int) -> float:
        """What was counted in the step that ends at the point `index`."""
        leap = self.leaps.get(index)
        return rise(self.values[index - 1], self.values[index]) if leap is None else leap.energy

    def suspect(self, index: int) -> bool:
        """Whether the step that ends at the point `index` is a leap that no one vouches for."""
        leap = self.leaps.get(index)
        return leap is not None and leap.suspect

    def epochs(self) -> list[Epoch]:
        """Where the register leapt."""
        return [
            Epoch(
                at=self.ats[index],
                kind=leap.kind,
                before=self.values[index - 1],
                after=self.values[index],
                marked=leap.marked,
            )
            for index, leap in self.leaps.items()
        ]

    def between(self, start: float, end: float) -> tuple[float, bool] | None:
        """What was counted in start ≤ t < end, and if that is suspect; None: nothing is known."""
        first, last = bisect_left(self.ats, start), bisect_left(self.ats, end)
        if first == 0 or (first < len(self.ats) and self.ats[first] == start):
            first += 1  # the step before it is none, or ends where the span begins
        last = min(last, len(self.ats) - 1)
        if first > last:
            return None
        leaps = [index for index in self.leaps if first <= index <= last] if self.leaps else []
        parts = self._risen(first - 1, last, leaps)
        if self.ats[first - 1] < start:
            parts.append(-self._share(first, start))
        if self.ats[last] > end:
            parts += [-self.energy(last), self._share(last, end)]
        return total(parts), any(map(self.suspect, leaps))

    def is_known(self, at: float, span: float) -> bool:
        """Whether the counter was read at the instant, or twice around it within `span` seconds."""
        index = bisect_left(self.ats, at)
        if index == len(self.ats):
            return False
        return self.ats[index] == at or (
            index > 0 and self.ats[index] - self.ats[index - 1] <= span
        )

    def edge(self, at: float) -> Edge | None:
        """The step over the start of a cell before which there were readings."""
        index = bisect_left(self.ats, at)
        if index == len(self.ats):
            return None
        end, value = self.ats[index], self.values[index]
        if not index:
            return Edge(None, end, value, energy=None, suspect=False)
        start, energy = self.ats[index - 1], self.energy(index)
        return Edge(start, end, value, energy=energy, suspect=self.suspect(index))

    def add_known(self, edge: Edge) -> None:
        """A step from the last point on that was reckoned before."""
        energy = edge.energy or 0.0
        if edge.suspect or energy != rise(self.values[-1], edge.value):
            self.leaps[len(self.ats)] = Leap(energy, "jump", marked=not edge.suspect)
        self.add(edge.end, edge.value)

    def add(self, at: float, value: float) -> None:
        """Go on with a point."""
        self.ats.append(at)
        self.values.append(value)

    def cut(self, end: int) -> None:
        """Take the points from index `end` on away."""
        del self.ats[end:], self.values[end:]
        self.leaps = {index: leap for index, leap in self.leaps.items() if index < end}

    def join(self, later: "Curve", first: int) -> None:
        """Go on with the points of another curve from its index `first` on."""
        here = len(self.ats) - first
        self.ats += later.ats[first:]
        self.values += later.values[first:]
        for index, leap in later.leaps.items():
            if index >= first:
                self.leaps[index + here] = leap

    def _risen(self, first: int, last: int, leaps: Sequence[int]) -> list[float]:
        """What was counted from one point to another: runs without a leap, and the leaps."""
        parts = []
        for leap in leaps:
            parts += [rise(self.values[first], self.values[leap - 1]), self.leaps[leap].energy]
            first = leap
        parts.append(rise(self.values[first], self.values[last]))
        return parts

    def _share(self, index: int, at: float) -> float:
        """What was counted before an instant within the step that ends at the point `index`."""
        start, end = self.ats[index - 1], self.ats[index]
        height = max(abs(self.values[index - 1]), abs(self.values[index]))
        return share(self.energy(index), (at - start) / (end - start), height=height)
