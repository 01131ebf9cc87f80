"""Following a counter through its readings so that no glitch becomes consumption.

A reading that the register cannot have reached is put aside. When the next one fits again, it was
a glitch; when `confirm` readings that agree with each other do not fit, it is they that are true:
then either the readings accepted last were too high (and are taken back), or the register leapt.
Points are held as columns: a quarter hour of a counter that only rises takes no loop over them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import compress, count, islice
from operator import ne, sub
from typing import Final

from emdc.energy.counter import Followed, Lost, Mark, Point, Rules, State, Step
from emdc.energy.curve import Curve
from emdc.energy.leaps import Leap, came_back, judge, level_after, marked, returns
from emdc.energy.levels import is_steady, levels_of
from emdc.energy.precision import rise


def follow(
    state: State, points: Sequence[Point], *, rules: Rules, marks: Sequence[Mark] = ()
) -> Followed:
    """The accepted steps that `points` make: later than the state's, in order of time."""
    trace = Trace(state, rules, marks)
    trace.take([point.at for point in points], [point.value for point in points])
    return Followed(trace.state(), trace.steps(), trace.epochs())


_FEW: Final = 48
"""So many readings are looked at one by one around one that does not fit."""


class Trace(Curve):
    """The accepted points of one counter from the first of a state's tail on."""

    __slots__ = ("_lost", "_marks", "_origin", "_pending", "_rules", "_since", "kept")

    def __init__(self, state: State, rules: Rules, marks: Sequence[Mark] = ()) -> None:
        super().__init__(state.tail)
        self.kept = len(self.ats)
        """So many points of the state's tail hold."""
        self._rules = rules
        self._marks = marks
        self._pending = list(state.pending)
        self._lost = state.lost
        self._origin = state.since or 0.0
        if marks:
            self._find_marked()
        self._since = self._since_of(len(self.ats) - 1) if self.ats else 0.0

    def take(self, ats: Sequence[float], values: Sequence[float], gap: float | None = None) -> None:
        """Go on with readings; `gap`: no two of them are closer (found when not given)."""
        begin = 0
        while begin < len(ats) and (self._pending or not self.ats):
            self._read(Point(ats[begin], values[begin]))
            begin += 1
        if begin:
            ats, values = ats[begin:], values[begin:]
        if not ats or self._take_smooth(ats, list(values), gap):
            return
        if len(ats) > _FEW:  # most of them may be smooth
            for low in range(0, len(ats), _FEW):
                self.take(ats[low : low + _FEW], values[low : low + _FEW], gap)
        else:
            for point in map(Point, ats, values):
                self._read(point)

    def state(self) -> State:
        """Where following stands now."""
        first = max(len(self.ats) - self._rules.confirm, 0)
        return State(
            tail=tuple(map(Point, self.ats[first:], self.values[first:])),
            pending=tuple(self._pending),
            since=self._since_of(first) if self.ats else None,
            lost=self._lost,
        )

    def thin(self) -> None:
        """Leave out what is in the middle of a plain rise, when all is of one cell.

        The first and last points say all about its boundaries, and about what may be taken back;
        those put aside before it may be among the first.
        """
        confirm = self._rules.confirm
        middle = slice(self.kept + confirm + 1, len(self.ats) - confirm)
        if middle.start < middle.stop and not any(index > self.kept for index in self.leaps):
            del self.ats[middle], self.values[middle]

    def steps(self) -> list[Step]:
        """From each accepted point to the next."""
        steps = []
        for index in range(1, len(self.ats)):
            start, end = self._point(index - 1), self._point(index)
            steps.append(Step(start, end, self.energy(index), self.suspect(index)))
        return steps

    def _take_smooth(self, ats: Sequence[float], values: list[float], gap: float | None) -> bool:
        """Accept all at once, when each follows normally on the one before; else none."""
        before = self._point(-1)
        levels = levels_of(before.value, values)
        if (
            levels is None
            or any(before.at < mark.at <= ats[-1] for mark in self._marks)
            or any(before.value < place.value <= levels[-1] for place in self._lost)
            or not self._reachable(ats, levels, gap)
        ):
            return False
        self.ats += ats
        self.values += levels
        self._since = self._since_of(len(self.ats) - 1)
        return True

    def _reachable(self, ats: Sequence[float], levels: list[float], gap: float | None) -> bool:
        """Whether the register can have risen so fast from each level to the next."""
        rate = self._rules.max_rate
        if rate is None:
            return True
        before, since, first = self._point(-1), self._since, Point(ats[0], levels[0])
        if level_after(before, first, since=since, max_rate=rate) is None:
            return False
        if gap is None:
            gap = min(map(sub, islice(ats, 1, None), ats), default=0.0)
        limit = rate * gap / 3600
        if is_steady(levels, limit):
            return True
        if first.value != before.value:
            since = before.at
        for index in compress(count(1), map(ne, islice(levels, 1, None), levels)):
            before = Point(ats[index - 1], levels[index - 1])
            after = Point(ats[index], levels[index])
            if level_after(before, after, since=since, max_rate=rate) is None:
                return False
            since = before.at
        return True

    def _read(self, point: Point) -> None:
        if not self.ats:
            self._begin(point)
            return
        joined = self._join(self._point(-1), point, self._since)
        if joined is not None:
            self._pending.clear()
            self._accept(point, joined)
            return
        level = self._after_pending(point)
        if level is None:
            self._pending = [point]
        else:
            self._pending.append(Point(point.at, level))
        if len(self._pending) >= self._rules.confirm:
            self._confirm()

    def _begin(self, point: Point) -> None:
        self.add(point.at, point.value)
        self._origin = self._since = point.at

    def _join(self, before: Point, point: Point, since: float) -> float | Leap | None:
        """The level that `point` gives after `before`, or a marked leap; None: it does not fit."""
        over = [mark for mark in self._marks if before.at < mark.at <= point.at]
        over = [mark for mark in over if mark.kind != "glitch"]
        if not any(mark.kind in {"swap", "ratio"} for mark in over):
            level = level_after(before, point, since=since, max_rate=self._rules.max_rate)
            # A mark says that it is no return; so `_find_marked`, which does not know what was lost
            # by then, finds the same.
            if level is not None and (
                over or not returns(self._lost, before, point, rules=self._rules)
            ):
                return level
        return marked(before, point, rules=self._rules, marks=over) if over else None

    def _accept(self, point: Point, joined: float | Leap) -> None:
        if isinstance(joined, Leap):
            self.leaps[len(self.ats)] = joined
            self._since = point.at
            if joined.marked:
                self._lost = ()
            joined = point.value
        elif joined != self.values[-1]:
            self._since = self.ats[-1]
            self._lost = tuple(
                place for place in self._lost if not self.values[-1] < place.value <= joined
            )
        self.add(point.at, joined)

    def _after_pending(self, point: Point) -> float | None:
        if not self._pending:
            return None
        last = self._pending[-1]
        others = (p.at for p in reversed(self._pending) if p.value != last.value)
        since = next(others, self._pending[0].at)
        return level_after(last, point, since=since, max_rate=self._rules.max_rate)

    def _confirm(self) -> None:
        """The readings put aside are true: see which of those accepted are not, or what leapt."""
        pending = self._pending
        if self._take_back():
            return
        before, first = self._point(-1), pending[0]
        if any(m.kind == "glitch" and before.at < m.at <= first.at for m in self._marks):
            del pending[1 : len(pending) - self._rules.confirm + 1]
            return
        self._pending = []
        back = came_back(before, first, rules=self._rules, lost=self._lost)
        if back is not None:
            place, self._lost = back
            self._go_back(place)
            gain = max(rise(place.value, first.value), 0.0)
            self._accept(first, Leap(gain, "return", marked=False))
        elif len(self.ats) < self._rules.confirm:  # it began with glitches
            self._drop(len(self.ats))
            self._lost = ()
            self._begin(first)
        else:
            leap, lost = judge(before, first, rules=self._rules, lost=self._lost)
            self._accept(first, leap)
            self._lost = lost
        self._accept_all(pending[1:])

    def _go_back(self, place: Lost) -> None:
        """Forget all that was accepted since; the place itself may lie before the first point."""
        here = bisect_right(self.ats, place.at)
        self._drop(len(self.ats) - here)
        if not here:
            self.add(place.at, place.value)

    def _take_back(self) -> bool:
        """Whether it is the readings accepted last that were glitches; the fewer the likelier.

        Of those put aside the first ones may be glitches too, together fewer than `confirm`.
        """
        for wrong in range(1, self._rules.confirm):
            for aside in range(wrong):
                back = wrong - aside
                if back >= len(self.ats) or aside >= len(self._pending):
                    continue
                index = len(self.ats) - 1 - back
                first = self._pending[aside]
                joined = self._join(self._point(index), first, self._since_of(index))
                if joined is not None:
                    rest = self._pending[aside + 1 :]
                    self._pending = []
                    self._drop(back)
                    self._accept(first, joined)
                    self._accept_all(rest)
                    return True
        return False

    def _drop(self, back: int) -> None:
        end = len(self.ats) - back
        self.cut(end)
        self.kept = min(self.kept, end)
        if end:
            self._since = self._since_of(end - 1)

    def _accept_all(self, points: Sequence[Point]) -> None:
        for point in points:
            self._accept(point, point.value)

    def _find_marked(self) -> None:
        """The leaps within the tail: their marks may have come, or changed, since."""
        for index in range(1, len(self.ats)):
            before, point = self._point(index - 1), self._point(index)
            joined = self._join(before, point, self._since_of(index - 1))
            if isinstance(joined, Leap):
                self.leaps[index] = joined

    def _since_of(self, index: int) -> float:
        """When the register last had another value than at this point, as far as is known."""
        run = max((leap for leap in self.leaps if leap <= index), default=0)
        low = bisect_left(self.values, self.values[index], run, index + 1)
        if low > run:
            return self.ats[low - 1]
        return self.ats[run] if run else self._origin

    def _point(self, index: int) -> Point:
        return Point(self.ats[index], self.values[index])
