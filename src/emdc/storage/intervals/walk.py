"""From a meter's readings to its quarter hours, a portion at a time: the loop around `cells.fold`.

The readings come page by page and are folded in pieces of a day at most, or of a quarter hour where
a meter is read each second, so that memory stays bounded and no piece of work is long. How it was
cut does not show in what comes of it. Reads the database; writes nothing.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import msgspec

from emdc.energy.answers import CELL_S, DAY_S, cell_of, day_of
from emdc.energy.cells import Due, Folded, Restart, Row, fold
from emdc.energy.counter import Epoch, Point
from emdc.storage.intervals.facts import Subject
from emdc.storage.intervals.states import Beginning, States
from emdc.storage.intervals.write import Span, Stored, stored

_BEHIND: Final = 400
"""Rows behind a piece that say how it ends; more than six minutes of seconds."""
_ENOUGH: Final = 1400
"""Rows for a piece and those behind it."""
_MOST_BYTES: Final = 8_000_000
"""Of the half minutes of one quarter hour: more than thousand metrics of a meter; MySQL has room
for 16 MB."""

_encode: Final = msgspec.json.Encoder().encode


class Origin(Protocol):
    """Where a meter's readings are, and states to begin with."""

    def pages(self, start: float) -> Iterator[list[Row]]:
        """Its rows from an instant on, in order of time."""

    def beginning(self, at: float) -> Beginning | None:
        """The last quarter hour at or before `at` where a fold can begin; None: there is none."""

    def count(self, span: Span) -> int:
        """How many rows of `readings` the pages had in a span."""


class Portion(NamedTuple):
    """Quarter hours that are made, to be stored together."""

    span: Span
    cells: Sequence[Stored]
    """Each one of the span, in order."""
    details: Mapping[float, str]
    """Half minutes as JSON, by quarter hour."""
    epochs: Sequence[tuple[int, Epoch]]
    next_at: float
    """Where the next fold begins."""
    states: States
    """Those at the end of the span."""


@dataclass(slots=True)
class _Kept:
    """What was made and not given yet."""

    cells: list[Stored] = field(default_factory=list)
    details: dict[float, str] = field(default_factory=dict)
    epochs: list[tuple[int, Epoch]] = field(default_factory=list)

    def add(self, folded: Folded) -> None:
        """Take what was folded, in the place of what is there from then on."""
        self.cut(folded.cells[0].start)
        self.epochs += folded.epochs
        for cell in folded.cells:
            self.cells.append(stored(cell))
            if cell.details is not None:
                text = _encode(cell.details).decode()
                if len(text) <= _MOST_BYTES:
                    self.details[cell.start] = text

    def cut(self, at: float) -> "_Kept":
        """Part with what is not before an instant, and give it."""
        index = self.index(at)
        later = _Kept(
            self.cells[index:],
            {start: text for start, text in self.details.items() if start >= at},
            [(slot, epoch) for slot, epoch in self.epochs if epoch.at >= at],
        )
        del self.cells[index:]
        self.details = {start: text for start, text in self.details.items() if start < at}
        self.epochs = [(slot, epoch) for slot, epoch in self.epochs if epoch.at < at]
        return later

    def states(self, at: float) -> States | None:
        """The states at the quarter hour that begins there; None: it is not here."""
        index = self.index(at)
        there = index < len(self.cells) and self.cells[index].start == at
        return self.cells[index].states if there else None

    def index(self, at: float) -> int:
        """Of the first one that does not begin before an instant."""
        return bisect_left(self.cells, at, key=lambda cell: cell.start)


class Walk:
    """One meter's quarter hours from a beginning to `until`, which is the end of one.

    They end with what is known of it: with its last reading, unless more is due. `pause` is called
    between pieces of work.
    """

    def __init__(
        self, subject: Subject, origin: Origin, *, until: float, pause: Callable[[], None]
    ) -> None:
        self._subject = subject
        self._origin = origin
        self._until = until
        self._pause = pause
        self._due_until = due_until(subject.facts.schedule)
        self._kept = _Kept()
        self._ahead: list[tuple[float, int, Sequence[Point]]] = []
        self._tried: set[Span] = set()

    def portions(self, first: Beginning) -> Iterator[Portion]:
        """Whole days as they are done, and at last what there is."""
        self._given = first.start
        self._open(first)
        while (end := self._next_end()) is not None:
            folded = self._fold(end)
            self._pause()
            if folded.restart is not None and self._goes_back(folded.restart):
                continue
            self._take(folded, end)
            yield from self._whole_days()
        if self._kept.cells:
            yield self._portion(self._kept, self._reached, self._at, self._ending)

    def _open(self, first: Beginning) -> None:
        self._at, self._states = first.start, first.states
        self._reached, self._ending = first.start, first.states
        self._pages = self._origin.pages(first.start)
        self._rows: list[Row] = []
        self._ended = False
        self._last_at = -math.inf

    def _next_end(self) -> float | None:
        """Where the next piece ends, later than the one before; None: there is no more to do."""
        if self._until <= self._reached:
            return None
        while not self._ended and (
            len(self._rows) < _ENOUGH or cell_of(self._rows[-_BEHIND][0]) <= self._reached
        ):
            self._read()
        limit = self._until
        end = limit if self._ended else cell_of(self._rows[-_BEHIND][0])
        if self._ended:
            limit = min(limit, max(cell_of(self._last_at) + CELL_S, self._due_until))
        if limit <= self._reached:
            return None
        return min(end, limit, day_of(self._reached) + DAY_S)

    def _read(self) -> None:
        page = next(self._pages, None)
        if page is None:
            self._ended = True
        elif page:
            self._rows += page
            self._last_at = page[-1][0]
        self._pause()

    def _fold(self, end: float) -> Folded:
        behind = bisect_left(self._rows, end, key=_at) + _BEHIND
        rows = self._rows[:behind]
        return fold(
            self._subject.facts,
            rows,
            states=self._states,
            start=self._at,
            end=end,
            ahead=self._later_than(rows[-1][0] if rows else self._at),
        )

    def _later_than(self, at: float) -> dict[int, list[Point]]:
        """The points, by slot, that are known to come after all rows of this piece."""
        found: dict[int, set[Point]] = {}
        for until, slot, points in self._ahead:
            if self._at < until:
                found.setdefault(slot, set()).update(p for p in points if p.at > at)
        return {slot: sorted(points) for slot, points in found.items() if points}

    def _goes_back(self, restart: Restart) -> bool:
        """Begin again at an earlier quarter hour; gives whether there is one that was not tried."""
        way = (restart.start, self._at)
        first = None if way in self._tried else self._beginning(restart.start)
        if first is None or first.start >= self._at:
            return False
        self._tried.add(way)
        self._ahead += [(self._at, slot, points) for slot, points in restart.ahead.items()]
        self._kept.cut(first.start)
        self._given = min(self._given, first.start)
        self._open(first)
        return True

    def _beginning(self, at: float) -> Beginning | None:
        states = self._kept.states(at)
        return self._origin.beginning(at) if states is None else Beginning(at, states)

    def _take(self, folded: Folded, end: float) -> None:
        self._kept.add(folded)
        self._at, self._reached, self._ending = folded.settled, end, folded.ending
        states = self._kept.states(self._at)
        self._states = folded.ending if states is None else states
        del self._rows[: bisect_left(self._rows, self._at, key=_at)]

    def _whole_days(self) -> Iterator[Portion]:
        day = day_of(self._at)
        if day <= self._given:
            return
        states = self._kept.states(day)
        later = self._kept.cut(day)
        yield self._portion(self._kept, day, day, self._states if states is None else states)
        self._kept, self._given = later, day

    def _portion(self, kept: _Kept, end: float, next_at: float, states: States) -> Portion:
        span = (self._given, end)
        return Portion(span, kept.cells, kept.details, kept.epochs, next_at, states)


def _at(row: Row) -> float:
    return row[0]


def due_until(schedule: Sequence[Due]) -> float:
    """The end of the last quarter hour in which anything is due; infinite while a schedule runs."""
    newest = {due.interval_s: due for due in schedule}
    if any(due.slots for due in newest.values()):
        return math.inf
    ended = max((due.from_at for due in newest.values()), default=-math.inf)
    return ended if math.isinf(ended) else -(-ended // CELL_S) * CELL_S
