"""What keeps the cells of one meter, as a database would: it folds piece by piece."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from emdc.energy.answers import CELL_S
from emdc.energy.cells import Cell, Folded, MeterFacts, Row, fold
from emdc.energy.counter import Epoch, Point, State


@dataclass
class Ledger:
    """Cells from `begin` on, of readings that come in any order."""

    facts: MeterFacts
    begin: float = 0.0
    rows: list[Row] = field(default_factory=list)
    cells: dict[float, Cell] = field(default_factory=dict)
    epochs: dict[tuple[int, float], Epoch] = field(default_factory=dict)
    restarts: int = 0
    _next: float | None = None
    _states: dict[float, dict[int, State]] = field(default_factory=dict)

    def read(self, rows: Iterable[Row]) -> None:
        for at, values in rows:
            self.rows.append((at, values))
            if self._next is not None:
                self._next = min(self._next, at // CELL_S * CELL_S)
        self.rows.sort()

    def fold_all(self, end: float) -> None:
        """All cells before `end` from all rows in one go."""
        self.keep(fold(self.facts, self.rows, states={}, start=self.begin, end=end), self.begin)

    def advance(
        self, end: float, *, piece: int = 1, behind: int = 6, most: int | None = None
    ) -> None:
        """Cells that are new or not final, `piece` at a time, with so many rows behind each.

        After the `most`th piece that is kept it ends, and what it knew of later readings is lost.
        """
        at = self.begin if self._next is None else self._next
        ahead: Mapping[int, Sequence[Point]] = {}
        until = at
        settled = at
        while at < end:
            stop = min(at + piece * CELL_S, end)
            folded = fold(
                self.facts,
                self._rows_of(at, stop, behind),
                states=self._states.get(at, {}),
                start=at,
                end=stop,
                ahead=ahead,
            )
            if folded.restart is not None:
                self.restarts += 1
                assert self.restarts < 300, "restarts without end"
                assert self.begin <= folded.restart.start < at
                until = max(until, at)
                at, ahead = folded.restart
                continue
            self.keep(folded, at)
            settled, at = folded.settled, stop
            if most is not None:
                most -= 1
                if not most:
                    break
            ahead = ahead if at <= until else {}
        self._next = settled

    def keep(self, folded: Folded, start: float) -> None:
        end = start + CELL_S * len(folded.cells)
        for cell in folded.cells:
            self.cells[cell.start] = cell
            self._states[cell.start] = cell.states
        self._states[end] = folded.ending
        for key in [key for key in self.epochs if start <= key[1] < end]:
            del self.epochs[key]
        self.epochs |= {(slot, epoch.at): epoch for slot, epoch in folded.epochs}

    def energies(self, slot: int = 0) -> list[float | None]:
        return [self.cells[start].energies[slot] for start in sorted(self.cells)]

    def _rows_of(self, start: float, end: float, behind: int) -> Sequence[Row]:
        within = [row for row in self.rows if start <= row[0] < end]
        return within + [row for row in self.rows if row[0] >= end][:behind]
