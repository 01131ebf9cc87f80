"""What was due when: schedules as they were in force in a quarter hour."""

from collections.abc import Sequence
from typing import Final, TypeAlias

from emdc.energy.answers import CELL_S

Intervals: TypeAlias = tuple[int, ...]
"""Microseconds between the ticks of a slot, shortest first; mostly one, () without a schedule."""

Entry: TypeAlias = tuple[float, float, frozenset[int]]
"""`cells.Due`: from when on, seconds between ticks, slots; until the next one of its interval."""

_SECOND: Final = 1_000_000


def expected(schedule: Sequence[Entry], cell: float, *, slots: int) -> list[int | None]:
    """How many values are due in the cell, by slot; None where no schedule is in force at its end.

    One that is in force only then counts for the whole cell. `schedule` is in order of time.
    """
    return [ticks(each, cell) for each in intervals(schedule, cell, slots=slots)]


def intervals(schedule: Sequence[Entry], cell: float, *, slots: int) -> list[Intervals]:
    """The intervals in force at the end of the cell, by slot."""
    in_force = {step: owed for from_at, step, owed in schedule if from_at < cell + CELL_S}
    by_slot: list[Intervals] = [()] * slots
    for step in sorted(in_force):
        for slot in in_force[step]:
            if slot < slots:
                by_slot[slot] = (*by_slot[slot], round(step * _SECOND))
    return by_slot


def ticks(each: Intervals, cell: float) -> int | None:
    """How many ticks a cell has; one that several intervals share counts once."""
    start, end = round(cell) * _SECOND, (round(cell) + CELL_S) * _SECOND
    if not each:
        return None
    if len(each) == 1:
        return -(-end // each[0]) - -(-start // each[0])
    return len(set().union(*(range(-(-start // step) * step, end, step) for step in each)))


def longest_step(each: Intervals, at: float) -> float:
    """How far apart readings around an instant may be that tell what was counted there.

    One interval where no tick is due at the instant, a quarter hour without a schedule; 0 where it
    is due to be read itself.
    """
    if not each:
        return CELL_S
    return each[0] / _SECOND if round(at * _SECOND) % each[0] else 0.0
