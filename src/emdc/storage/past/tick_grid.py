"""Which ticks a meter's slots had, from its schedules: what is due next, and how many were due.

Ticks are whole microseconds since 1970, multiples of their interval. Pure.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from emdc.storage.instants import step_of
from emdc.storage.past.topics import Scheduled

_FOR_EVER: Final = 2**62


class Group(NamedTuple):
    """Slots that are due together while start ≤ tick < end."""

    start: int
    end: int
    step: int
    slots: frozenset[int]

    def next_after(self, tick: int) -> int | None:
        """The first tick later than this instant."""
        found = max(tick + 1, self.start)
        found = -(-found // self.step) * self.step
        return found if found < self.end else None

    def ticks(self, start: int, end: int) -> int:
        """Ticks with start ≤ tick < end."""
        low, high = max(start, self.start), min(end, self.end)
        return max(0, -(-high // self.step) - -(-low // self.step))


class Grid:
    """The ticks of one meter."""

    def __init__(self, schedule: Sequence[Scheduled]) -> None:
        starts: dict[float, list[Scheduled]] = {}
        for row in schedule:
            starts.setdefault(row.interval_s, []).append(row)
        self._groups = [group for rows in starts.values() for group in _groups(rows)]
        self._due: dict[tuple[int, ...], frozenset[int]] = {}

    def key_of(self, tick: int) -> tuple[int, ...]:
        """Which groups are due at an instant."""
        return tuple(
            index
            for index, group in enumerate(self._groups)
            if tick % group.step == 0 and group.start <= tick < group.end
        )

    def due(self, key: tuple[int, ...]) -> frozenset[int]:
        """The slots of these groups."""
        found = self._due.get(key)
        if found is None:
            groups = (self._groups[index].slots for index in key)
            found = self._due[key] = frozenset().union(*groups)
        return found

    def next_after(self, tick: int, slots: frozenset[int] | None) -> int:
        """The first later tick at which any of these slots (None: of all) is due.

        Where nothing is due any more it is the next microsecond.
        """
        nexts = (group.next_after(tick) for group in self._of(slots))
        return min((at for at in nexts if at is not None), default=tick + 1)

    def pace_of(self, tick: int, slots: frozenset[int]) -> int:
        """Microseconds between ticks of these slots then; 0 when they have not one interval."""
        here = [group for group in self._of(slots) if group.start <= tick < group.end]
        return here[0].step if len(here) == 1 and slots <= here[0].slots else 0

    def count(self, start: int, end: int, slots: frozenset[int] | None) -> int | None:
        """Ticks with start ≤ tick < end; None where intervals do not fit into each other."""
        groups = [group for group in self._of(slots) if group.ticks(start, end)]
        fastest = min((group.step for group in groups), default=1)
        if any(group.step % fastest for group in groups):
            return None
        return sum(group.ticks(start, end) for group in groups if group.step == fastest)

    def _of(self, slots: frozenset[int] | None) -> Iterable[Group]:
        if slots is None:
            return self._groups
        return (group for group in self._groups if not slots.isdisjoint(group.slots))


def _groups(rows: Sequence[Scheduled]) -> list[Group]:
    """Those of one interval; its slots are in force until the next row of it."""
    ends = [*(_tick(row.start) for row in rows[1:]), _FOR_EVER]
    return [
        Group(_tick(row.start), end, step_of(row.interval_s), row.slots)
        for row, end in zip(rows, ends, strict=True)
        if row.slots
    ]


def _tick(at: float) -> int:
    return round(at * 1e6)
