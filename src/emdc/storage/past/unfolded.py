"""The quarter hours that are not stored yet, made when somebody asks for them.

They come of the readings by the function that will make the stored ones, from the state that it
will begin with: what is asked now and what is asked tomorrow is the same, but for readings that are
still to come. Asked by `series_read` and `energy_read`.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from emdc.energy.answers import CELL_S, cell_of
from emdc.energy.cells import Cell, MeterFacts, Row, SlotFacts, fold
from emdc.energy.counter import State
from emdc.numerals import MAX_EXACT_INT
from emdc.storage.instants import text_of
from emdc.storage.past.asking import Asker
from emdc.storage.past.cells_read import SUMMARY, Cells
from emdc.storage.past.raw_values import (
    Slot,
    first_of,
    instant_of,
    numbers_of,
    slot_of,
    values_of,
)
from emdc.storage.past.samples import StoredTopic
from emdc.storage.past.tokens import exact

log = logging.getLogger(__name__)

MOST_ROWS: Final = 100_000
"""Readings from which quarter hours are made for one answer; a second of work."""

_SLOT: Final = 0
_COLUMNS: Final = (*SUMMARY, "energies", "dues", "qualities")
_GAUGE: Final = MeterFacts((SlotFacts("gauge"),))
_SHORT_S: Final = 7200.0
"""In such a span no meter has so many."""
_PROGRESS: Final = (
    "SELECT seconds(next_ts), seconds(through_ts), states FROM interval_progress WHERE meter_id = ?"
)
_ROW: Final = (
    "SELECT seconds(ts), states FROM interval_rows WHERE meter_id = ? AND ts <= ?"
    " ORDER BY ts DESC LIMIT 1"
)
_DAY: Final = (
    "SELECT seconds(day), state FROM interval_days WHERE topic_id = ? AND day <= ?"
    " ORDER BY day DESC LIMIT 1"
)

_states: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_plain: Final = msgspec.json.Decoder(list[Any])


class Begin(NamedTuple):
    """Where making them begins."""

    at: float
    states: str = "{}"
    """Those of the meter's counters, by slot, as JSON."""
    state: str | None = None
    """Instead, that of the topic."""

    def of_slot(self, slot: int) -> State | None:
        """What a counter goes on from; None: nothing was read before."""
        stored = self.state or _states.decode(self.states).get(str(slot))
        return State.from_plain(_plain.decode(stored)) if stored else None


def begin_of(asker: Asker, topic: StoredTopic) -> Begin | None:
    """The first quarter hour that is not settled; None: the meter has no reading."""
    assert topic.meter_id is not None
    rows = asker.ask(_PROGRESS, topic.meter_id)
    if not rows:
        first = first_of(asker, topic.meter_id)
        return None if first is None else Begin(cell_of(first))
    next_at, through_at = asker.speech.times(rows[0][:2])
    if next_at == through_at:
        return Begin(next_at, rows[0][2])
    return stored_begin(asker, topic, next_at) or Begin(next_at)


def stored_begin(asker: Asker, topic: StoredTopic, at: float) -> Begin | None:
    """The last quarter hour at or before `at` whose state is stored; None: there is none."""
    row = asker.ask(_ROW, topic.meter_id, text_of(at))
    day = asker.ask(_DAY, topic.topic_id, text_of(at))
    ats = [asker.speech.times(found[0][:1])[0] for found in (row, day) if found]
    if row and ats[0] == max(ats):
        return Begin(ats[0], row[0][1])
    return Begin(ats[0], state=day[0][1]) if day else None


class Unfolded(NamedTuple):
    """What is not stored yet."""

    cells: Cells
    """From the beginning to the last reading, the quarter hour that runs with what it has."""
    last: float
    """The last reading."""
    cut: float | None = None
    """Where there were too many readings; None: these are all."""
    rows: Sequence[Row] = ()
    """The readings, and the end of the quarter hour that runs as if the counter stood still."""
    states: Sequence[State | None] = ()
    """Of a counter, at the start of each quarter hour; None: nothing was read before."""


class Wait(NamedTuple):
    """Whether another reading is about to come."""

    now: float
    patience_s: float
    """So old may the last one be."""


def summed_up(asker: Asker, place: Slot, start: float, end: float) -> Unfolded:
    """What a topic was in the quarter hours of a span, whatever it holds; columns of SUMMARY."""
    rows, cut = rows_of(asker, place, start, end)
    if not rows:
        return Unfolded(Cells((), dict.fromkeys(SUMMARY, ())), start, cut)
    stop = cell_of(rows[-1][0]) + CELL_S
    cells = fold(_GAUGE, rows, states={}, start=start, end=stop).cells
    return Unfolded(_columns(cells, SUMMARY), rows[-1][0], cut)


def unfolded(
    asker: Asker,
    topic: StoredTopic,
    facts: tuple[SlotFacts, MeterFacts],
    begin: Begin,
    *,
    wait: Wait,
) -> Unfolded:
    """The quarter hours from there on; `facts`: of the topic's slot and of its meter."""
    place = slot_of(topic)
    assert place is not None
    # A clock that was set back has left readings of the future.
    rows, cut = rows_of(asker, place, begin.at, wait.now + CELL_S)
    if cut is not None:
        facts_of = {"topic": topic.name, "from": text_of(cut), "mend": "emdc intervals"}
        log.info("quarter hours are far behind: the last ones are left out", extra=facts_of)
    if not rows:
        return Unfolded(Cells((), dict.fromkeys(_COLUMNS, ())), begin.at, cut)
    end = cell_of(rows[-1][0]) + CELL_S
    mine, meter = facts
    schedule = tuple(
        due._replace(slots=frozenset({_SLOT}) if topic.slot in due.slots else frozenset())
        for due in meter.schedule
    )
    slot = MeterFacts((mine,), schedule)
    before = begin.of_slot(place.slot)
    states = {} if before is None else {_SLOT: before}
    folded = fold(slot, rows, states=states, start=begin.at, end=end)
    cells, last = folded.cells, rows[-1][0]
    state = folded.states.get(_SLOT)
    is_fresh = last >= wait.now - wait.patience_s
    if is_fresh and state is not None and state.tail and not state.pending:
        # As if the counter stood still from its last reading on.
        rows.append((end, (state.tail[-1].value,)))
        cells[-1] = _ended(slot, cells[-1], rows)
    starts = [cell.states.get(_SLOT) for cell in cells]
    return Unfolded(_columns(cells, _COLUMNS), last, cut, rows, starts)


def _columns(cells: Sequence[Cell], names: Sequence[str]) -> Cells:
    columns = {name: [getattr(cell, name)[_SLOT] for cell in cells] for name in names}
    return Cells([cell.start for cell in cells], columns)


def _ended(facts: MeterFacts, cell: Cell, rows: Sequence[Row]) -> Cell:
    """The last quarter hour, at whose end the last row is.

    What it counted so far was read at both ends, unless more is the matter than that it runs.
    """
    mine = [row for row in rows if row[0] >= cell.start]
    return fold(facts, mine, states=cell.states, start=cell.start, end=cell.start + CELL_S).cells[0]


def rows_of(asker: Asker, place: Slot, start: float, end: float) -> tuple[list[Row], float | None]:
    """Rows of the one slot, and where they end if there are too many."""
    span = (text_of(start), text_of(end))
    cut = None
    if end - start > _SHORT_S:
        cut = instant_of(asker, place.meter_id, span, MOST_ROWS)
    if cut is not None:
        span = (span[0], text_of(cut))
    times, values = numbers_of(asker, place, span)
    if values and max(map(abs, values)) >= MAX_EXACT_INT:
        sound = [(at, exact(value)) for at, value in values_of(asker, place, span)]
        return [(at, (value,)) for at, value in sound if not isinstance(value, str)], cut
    return [(at, (value,)) for at, value in zip(times, values, strict=True)], cut
