"""One counter over the cells of a fold: its curve, and the states to begin a later fold with."""

from bisect import bisect_left
from collections.abc import Sequence
from math import inf

from emdc.energy.answers import CELL_S, Quality
from emdc.energy.counter import Edge, Epoch, Mark, Point, Rules, State
from emdc.energy.curve import Curve
from emdc.energy.following import Trace


class Account:
    """What the readings of one counter are made into, cell by cell."""

    __slots__ = ("_begun", "_final", "_marks", "_rules", "curve", "epochs", "state")

    def __init__(self, rules: Rules, marks: Sequence[Mark], state: State) -> None:
        self._rules = rules
        self._marks = marks
        self._begun = self._final = self.state = state
        self.curve: Curve = Trace(state, rules, marks)
        self.epochs: list[Epoch] = []

    def take(
        self, ats: Sequence[float], values: Sequence[float], *, gap: float | None = None
    ) -> None:
        """Go on with readings of one cell, or of the time after the last one."""
        if ats:
            before, trace = self.state, Trace(self.state, self._rules, self._marks)
            trace.take(ats, values, gap)
            self._final = self.state = trace.state()
            trace.thin()
            self._join(trace, before)

    def close(self, ahead: Sequence[Point], *, through: float) -> None:
        """All readings were taken. `ahead`: points that follow, if known; `through`: their end."""
        later = {point.at: point.value for point in ahead if point.at > through}
        if later:
            trace = Trace(self.state, self._rules, self._marks)
            trace.take(list(later), list(later.values()))
            self._final = trace.state()
            self._join(trace, self.state)
        self.epochs = self.curve.epochs()
        edge = self._begun.edge
        if edge is not None and edge.energy is not None and edge.end > through:
            self._take_known(edge)

    def _take_known(self, edge: Edge) -> None:
        """Go by what was known before of a step that ends after all that was taken."""
        tail, last = self._begun.tail, self.curve.ats[-1]
        if edge.start == last == tail[-1].at:  # nothing new: so a silence ends
            self.curve.add_known(edge)
            return
        # The register comes back, and what it shows here is false. Were it otherwise by now, the
        # fold would tell that has its end.
        place = next((lost for lost in self.state.lost if lost.at == edge.start), None)
        if place is not None and last < edge.end:
            self.curve.cut(0)
            self.curve.add(place.at, place.value)
            self.curve.add_known(edge)
            self.epochs = []

    def at_start(self, state: State, cell: float) -> State:
        """The state as it is to be kept with a cell."""
        return state._replace(edge=self.curve.edge(cell))

    def part(
        self, cell: float, spans: tuple[float, float]
    ) -> tuple[float, Quality] | tuple[None, None]:
        """What was counted in a cell; `spans`: how close readings must be at its start and end."""
        found = self.curve.between(cell, cell + CELL_S)
        if found is None:
            return None, None
        energy, suspect = found
        if suspect:
            return energy, Quality.SUSPECT
        # Before its first reading of all nothing was counted: the cell is incomplete, that is all.
        start_known = self.curve.ats[0] > cell or self.curve.is_known(cell, spans[0])
        known = start_known and self.curve.is_known(cell + CELL_S, spans[1])
        return energy, Quality.MEASURED if known else Quality.RECOVERED

    def changed_from(self, start: float) -> tuple[float, list[Point]] | None:
        """Since when it was counted otherwise than now, when that is before `start`.

        And the readings from then to `start` that are at hand.
        """
        tail, old, new = self._begun.tail, self._begun.edge, self.curve.edge(start)
        if not tail or new == old:
            return None
        edges = [edge for edge in (old, new) if edge is not None]
        begins = [tail[0].at if edge.start is None else edge.start for edge in edges]
        first = min(tail[-1].at, *begins)
        points = [point for point in tail if point.at >= first] + list(self._begun.pending)
        return first, points

    def settles_at(self, start: float) -> float:
        """When the reading was made by which the first step over `start` is final."""
        ats = self.curve.ats
        index = bisect_left(ats, start) + self._rules.confirm - 1
        return ats[index] if index < len(ats) else inf

    def open_from(self) -> float | None:
        """The instant up to which the readings say the last word."""
        return self._final.tail[0].at if self._final.tail else None

    def _join(self, trace: Trace, before: State) -> None:
        """Go on with a trace from a state whose points are on the curve, or from before them."""
        ats, first, kept = self.curve.ats, trace.ats[0], trace.kept
        index = bisect_left(ats, min(first, before.tail[0].at) if before.tail else first)
        if not kept and index < len(ats) and ats[index] == first:
            kept = 1  # where the register came back to is on the curve
        self.curve.cut(index + kept)
        self.curve.join(trace, kept)
