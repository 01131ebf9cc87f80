"""One meter's quarter hours, from the readings as they were stored.

`fold` is the one function that makes them, as ticks pass and when all is reckoned again. The caller
reads and writes; see `Folded` for what it must do with the answer.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from operator import sub
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from emdc.energy.account import Account
from emdc.energy.answers import CELL_S, Quality, cell_of
from emdc.energy.counter import NEW, UNKNOWN, Epoch, Mark, Point, Rules, State
from emdc.energy.dues import intervals, longest_step, ticks
from emdc.energy.gauges import NOTHING, Halves, Stats, by_slot, columns
from emdc.energy.precision import number
from emdc.reading import Kind, Value

Row: TypeAlias = tuple[float, Sequence[Value]]
"""When a meter's values were due, and the values by slot; shorter when metrics were added later."""
States: TypeAlias = Mapping[int, State]
"""Slot of a counter → where following it stands; without an entry: nothing was read yet."""


class Due(NamedTuple):
    """One row of `schedules`: from then on, until the next one of its interval."""

    from_at: float
    interval_s: float
    slots: frozenset[int]
    """Empty: it ends."""


@dataclass(frozen=True, slots=True)
class SlotFacts:
    """What folding needs to know of one slot."""

    kind: Kind
    rules: Rules = UNKNOWN
    marks: tuple[Mark, ...] = ()
    """In order of time; all of the slot's, whenever they are."""


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """What folding needs to know of one meter."""

    slots: tuple[SlotFacts, ...]
    """By slot."""
    schedule: tuple[Due, ...] = ()
    """In order of time."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One quarter hour of a meter: lists by slot, as long as `MeterFacts.slots`."""

    start: float
    counts: list[int | None]
    """0 where nothing was read; None for texts."""
    minima: list[float | None]
    maxima: list[float | None]
    means: list[float | None]
    firsts: list[float | None]
    lasts: list[float | None]
    energies: list[float | None]
    """None where nothing is known, and of all but counters."""
    dues: list[int | None]
    """None: no schedule is in force for the slot."""
    qualities: list[Quality | None]
    states: dict[int, State]
    """Slot → state at the cell's start: with it a later fold may begin here."""
    details: list[Halves | None] | None = None
    """Half minutes by slot; only when it has more than 60 rows."""


class Restart(NamedTuple):
    """Cells before the fold's start changed: they must be folded again, with the rows of then."""

    start: float
    """The cell to begin at."""
    ahead: dict[int, Sequence[Point]]
    """To be given to each fold up to this one, so that those know how a silence ends that lasts
    beyond their rows. Should one of them ask for a restart too, its `ahead` holds this one's."""


class Folded(NamedTuple):
    """What rows made of cells."""

    cells: list[Cell]
    """Each one of start ≤ cell < end, empty ones too."""
    ending: dict[int, State]
    """As `Cell.states`, at `end`: with it the next fold may begin there."""
    states: dict[int, State]
    """After the last row: for what happened since, and to go on with `follow`."""
    settled: float
    """The cell at which the next fold begins, at the latest `end`: what lies before is final."""
    restart: Restart | None
    """Fold again from there first; what this fold gave is not to be kept."""
    epochs: list[tuple[int, Epoch]]
    """(slot, epoch) with start ≤ at < end: they replace those that were found there before."""


def fold(  # noqa: PLR0913 - a span, what is known of it, and what it begins with
    facts: MeterFacts,
    rows: Sequence[Row],
    *,
    states: States,
    start: float,
    end: float,
    ahead: Mapping[int, Sequence[Point]] = MappingProxyType({}),
) -> Folded:
    """The cells of start ≤ t < end (multiples of 900 s) from rows in order of time.

    `states`: at `start`, from `Cell.states` or `Folded.ending`; {} where the meter begins.
    `rows`: all from `start` on, to beyond `end`: readings after `end` say how the last cell ends
    and whether its last readings were spikes. A few are enough (twice `confirm` for each counter);
    without them `settled` lies before `end`.
    `ahead`: from a `Restart`; what of it is later than all rows says how they go on.
    """
    accounts = {
        slot: Account(each.rules, each.marks, states.get(slot, NEW))
        for slot, each in enumerate(facts.slots)
        if each.kind == "counter"
    }
    ats = [row[0] for row in rows]
    drafts, low = [], 0
    for cell in range(round(start), round(end), CELL_S):
        high = bisect_left(ats, cell + CELL_S, low)
        drafts.append(_draft(facts, accounts, float(cell), rows=rows[low:high]))
        low = high
    ending = {slot: account.state for slot, account in accounts.items()}
    _take_after(accounts, rows[low:])
    through = ats[-1] if ats else start
    for slot, account in accounts.items():
        account.close(ahead.get(slot, ()), through=through)
    return Folded(
        cells=[_finished(facts, accounts, draft) for draft in drafts],
        ending=_with_edges(accounts, ending, end),
        states={slot: account.state for slot, account in accounts.items()},
        # Where no rows follow, it is known that nothing was read until the end.
        settled=_settled(accounts, start=start, end=end, through=max(through, end)),
        restart=_restart(accounts, rows, start=start, ahead=ahead),
        epochs=[
            (slot, epoch)
            for slot, account in accounts.items()
            for epoch in account.epochs
            if start <= epoch.at < end
        ],
    )


_HOLDS_S: Final = 3600
"""A counter that was not read for so long does not keep cells open. Should it come back, the edges
of the cells tell, and a restart is made."""


class _Draft(NamedTuple):
    """A cell before it is known what comes after it."""

    start: float
    stats: list[Stats | None]
    """By slot; None for texts."""
    states: dict[int, State]
    details: list[Halves | None] | None


def _draft(
    facts: MeterFacts, accounts: Mapping[int, Account], cell: float, *, rows: Sequence[Row]
) -> _Draft:
    states = {slot: account.state for slot, account in accounts.items()}
    ats = [row[0] for row in rows]
    table = list(columns([row[1] for row in rows], len(facts.slots)))
    stats, halves = by_slot(ats, table, numeric=[each.kind != "text" for each in facts.slots])
    gap = min(map(sub, islice(ats, 1, None), ats), default=0.0)
    for slot, account in accounts.items():
        seen = stats[slot]
        if seen is not None and seen.number:
            taken = (ats, table[slot]) if seen.clean else _numbers(ats, table[slot])
            account.take(*taken, gap=gap)
    return _Draft(cell, stats, states, halves)


def _take_after(accounts: Mapping[int, Account], rows: Sequence[Row]) -> None:
    """Go on with what was read after the last cell."""
    ats = [row[0] for row in rows]
    table = list(columns([row[1] for row in rows], max(accounts, default=-1) + 1))
    for slot, account in accounts.items():
        account.take(*_numbers(ats, table[slot]))


def _numbers(ats: Sequence[float], column: Sequence[Any]) -> tuple[list[float], list[float]]:
    """The numbers of a column that has gaps or texts, with their times."""
    found = [
        (at, value) for at, value in zip(ats, map(number, column), strict=True) if value is not None
    ]
    return [at for at, _ in found], [value for _, value in found]


def _finished(facts: MeterFacts, accounts: Mapping[int, Account], draft: _Draft) -> Cell:
    slots = len(facts.slots)
    every = intervals(facts.schedule, draft.start, slots=slots)
    energies: list[float | None] = [None] * slots
    qualities: list[Quality | None] = [None] * slots
    for slot, account in accounts.items():
        spans = (
            longest_step(every[slot], draft.start),
            longest_step(every[slot], draft.start + CELL_S),
        )
        energies[slot], qualities[slot] = account.part(draft.start, spans)
    stats = [seen or NOTHING for seen in draft.stats]
    return Cell(
        start=draft.start,
        counts=[None if seen is None else seen.number for seen in draft.stats],
        minima=[seen.minimum for seen in stats],
        maxima=[seen.maximum for seen in stats],
        means=[seen.mean for seen in stats],
        firsts=[seen.first for seen in stats],
        lasts=[seen.last for seen in stats],
        energies=energies,
        dues=[ticks(each, draft.start) for each in every],
        qualities=qualities,
        states=_with_edges(accounts, draft.states, draft.start),
        details=draft.details,
    )


def _with_edges(accounts: Mapping[int, Account], states: States, cell: float) -> dict[int, State]:
    """States as they are kept with a cell; of counters that were read before it."""
    return {
        slot: accounts[slot].at_start(state, cell) for slot, state in states.items() if state.tail
    }


def _settled(accounts: Mapping[int, Account], *, start: float, end: float, through: float) -> float:
    """The first cell that later readings may change, of those from `start` to `end`."""
    opened = [account.open_from() for account in accounts.values()]
    first = min((at for at in opened if at is not None and at >= through - _HOLDS_S), default=end)
    return min(max(cell_of(first), start), end)


def _restart(
    accounts: Mapping[int, Account],
    rows: Sequence[Row],
    *,
    start: float,
    ahead: Mapping[int, Sequence[Point]],
) -> Restart | None:
    begins, points = [], dict(ahead)
    for slot, account in accounts.items():
        changed = account.changed_from(start)
        if changed is not None:
            first, earlier = changed
            begins.append(first)
            later = ahead.get(slot, ())
            until = inf if later else account.settles_at(start)
            points[slot] = _merged(earlier, _first_points(rows, slot, until), later)
    return Restart(cell_of(min(begins)), points) if begins else None


def _merged(*parts: Sequence[Point]) -> list[Point]:
    """Points of all parts in order of time, each once."""
    by_time = {point.at: point for part in parts for point in part}
    return [by_time[at] for at in sorted(by_time)]


def _first_points(rows: Sequence[Row], slot: int, until: float) -> list[Point]:
    """What was read of one slot up to an instant."""
    found = []
    for at, values in rows:
        if at > until:
            break
        value = number(values[slot]) if slot < len(values) else None
        if value is not None:
            found.append(Point(at, value))
    return found
