"""What a counter counted in a part of a quarter hour, from its readings while they are there.

They are followed as when the quarter hour was made, and believed when they come to what it says: so
its parts always add up to it. Where they do not, or are gone, a part is a share by time. Asked by
`energy_read`, only for periods that do not begin and end on quarter hours.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from emdc.energy.answers import CELL_S, Quality, cell_of
from emdc.energy.cells import MeterFacts, Row, SlotFacts
from emdc.energy.counter import NEW, State
from emdc.energy.curve import Curve
from emdc.energy.dues import Intervals, intervals, longest_step
from emdc.energy.following import Trace
from emdc.energy.periods import Period
from emdc.energy.sums import Part
from emdc.storage.instants import text_of
from emdc.storage.past.asking import Asker
from emdc.storage.past.raw_values import Slot, instant_of, slot_of
from emdc.storage.past.samples import StoredTopic
from emdc.storage.past.unfolded import Begin, Unfolded, rows_of, stored_begin

_BACK_S: Final = 3600.0
"""So long before a quarter hour its counter is followed when no state is stored so near: of a day
that is closed there is only that at its start, which may be 86,400 readings away."""


class Whole(NamedTuple):
    """A quarter hour as it is known."""

    cell: float
    energy: float
    quality: Quality


class PartReader(NamedTuple):
    """Parts of one counter's quarter hours."""

    asker: Asker
    topic: StoredTopic
    folding: tuple[SlotFacts, MeterFacts]
    live: Unfolded | None
    """The quarter hours that are not stored; None: all are."""
    now: float

    def part(self, whole: Whole, piece: Period) -> Part:
        """What was counted in a piece of a quarter hour."""
        start, end = piece
        for curve in self._curves(whole.cell):
            found = curve.between(whole.cell, whole.cell + CELL_S)
            if found is None or found[0] != whole.energy:
                continue
            found = curve.between(start, end)
            if found is None:
                return Part(None, None)
            return Part(found[0], self._quality(curve, piece, suspect=found[1]))
        return shared(whole, piece)

    def _quality(self, curve: Curve, piece: Period, *, suspect: bool) -> Quality:
        if suspect:
            return Quality.SUSPECT
        start, end = piece
        every = self._every(cell_of(start))
        # Before its first reading of all nothing was counted.
        known = curve.ats[0] > start or curve.is_known(start, longest_step(every, start))
        known = known and curve.is_known(end, longest_step(every, end))
        return Quality.MEASURED if known else Quality.RECOVERED

    def _curves(self, cell: float) -> Iterator[Curve]:
        """What the readings say: in the way that costs least first."""
        live = self.live
        if live is not None and live.cells.ts and cell >= live.cells.ts[0]:
            index = round((cell - live.cells.ts[0]) / CELL_S)
            if index < len(live.states):
                yield self._followed(
                    live.states[index], [row for row in live.rows if row[0] >= cell]
                )
            return
        begin = stored_begin(self.asker, self.topic, cell)
        until = self._until(cell)
        if begin is None or begin.at < cell - _BACK_S:
            curve = self._from(Begin(cell - _BACK_S), until)
            # Else what was before it matters.
            if curve is not None and curve.ats[0] <= cell:
                yield curve
        if begin is not None:
            curve = self._from(begin, until)
            if curve is not None:
                yield curve

    def _from(self, begin: Begin, until: float) -> Curve | None:
        """None: there is no reading, or there are too many."""
        place = self._place()
        rows, cut = rows_of(self.asker, place, begin.at, until)
        if cut is not None or not rows:
            return None
        return self._followed(begin.of_slot(place.slot), rows)

    def _followed(self, state: State | None, rows: Sequence[Row]) -> Curve:
        mine, _ = self.folding
        trace = Trace(state or NEW, mine.rules, mine.marks)
        numbers: list[Any] = [values[0] for _, values in rows]
        trace.take([at for at, _ in rows], numbers)
        return trace

    def _until(self, cell: float) -> float:
        """By when it is known how the quarter hour ended: some readings later."""
        end, many = cell + CELL_S, 4 * self.folding[0].rules.confirm
        span = (text_of(end), text_of(self.now + CELL_S))
        found = instant_of(self.asker, self._place().meter_id, span, many)
        longest = max(self._every(cell), default=0) / 1e6
        return max(self.now + CELL_S if found is None else found, end + many * longest)

    def _every(self, cell: float) -> Intervals:
        slot, (_, meter) = self._place().slot, self.folding
        return intervals(meter.schedule, cell, slots=slot + 1)[slot]

    def _place(self) -> Slot:
        place = slot_of(self.topic)
        assert place is not None
        return place


def shared(whole: Whole, piece: Period) -> Part:
    """A share by time: of that nobody has read its ends."""
    start, end = piece
    return Part(whole.energy * ((end - start) / CELL_S), max(whole.quality, Quality.RECOVERED))
