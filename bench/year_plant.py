"""Meters whose true energy is known at any instant, and all that befalls their registers.

What flows is a power for each minute, in whole watts; its integral is in whole joules, so nothing
is rounded before a register counts it. A register shows what was counted, but for its leaps: it
begins at 0, rolls over, is swapped, is scaled anew. Shares no code with EMDC, which is to be judged
by it. Instants are whole seconds since the plant's start; a tick is a minute.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

MINUTE_S = 60
DAY = 1440
"""Ticks of it."""
HERE, NOBODY, MUTE = range(3)
"""Of a tick: it was read; the collector did not run or not in time; the meter gave nothing."""
ROLLS_WITHIN_S = 2 * 86_400
"""A roll-over is where most flows in such a time."""
TRUE, ZERO, MISSING = range(3)
"""Of a counter's reading in it."""


class Scale(NamedTuple):
    """What one count of a register is."""

    unit: str
    joules: int
    """Of one count."""
    decimals: int
    """Of the register, in the unit."""
    modulus: int
    """Counts at which it is 0 again."""

    def value(self, counts: int) -> float:
        """Counts in the unit; an int when it has no decimals."""
        return counts / 10**self.decimals if self.decimals else counts


MILLIS = Scale("kWh", 3600, 3, 1_000_000_000)
WATT_HOURS = Scale("Wh", 3600, 0, 2**32)
WHOLE = Scale("kWh", 3_600_000, 0, 1_000_000)


class Leap(NamedTuple):
    """From `at` on the register shows what is counted since, and `shows` more."""

    at: int
    shows: int
    kind: str
    """`begin`, `reset`, `roll`, `ratio`, `swap`, or `bare swap`: nobody says the figures of it."""


class Flow:
    """What flowed one way."""

    def __init__(self, watts: Sequence[int]) -> None:
        self._watts = array("q", watts)
        self._before = array("q", accumulate((MINUTE_S * w for w in watts), initial=0))

    @property
    def length(self) -> int:
        """Seconds of which it is known."""
        return MINUTE_S * len(self._watts)

    def joules(self, at: int) -> int:
        """From the start to an instant."""
        minute, rest = divmod(at, MINUTE_S)
        return self._before[minute] + (self._watts[minute] * rest if rest else 0)


class Register:
    """One counter of a meter."""

    _LONG_S = 7 * 86_400

    def __init__(self, flow: Flow, scale: Scale, leaps: Sequence[tuple[int, str]]) -> None:
        """`leaps`: instants and kinds in order; a roll is the first of all or follows a swap."""
        self._flow = flow
        self.scale = scale
        exact = [(self._moved(at, kind), kind) for at, kind in leaps]
        self.leaps: list[Leap] = []
        for place, (at, kind) in enumerate([(0, "begin"), *exact]):
            following = next(iter(exact[place:]), (0, ""))
            self.leaps.append(Leap(at, self._shows_at(at, kind, following), kind))

    def counted(self, at: int) -> int:
        """The truth: counts since the plant's start."""
        return self._flow.joules(at) // self.scale.joules

    def shows(self, at: int) -> int:
        """What it shows when nothing is wrong, in counts."""
        leap = self.leaps[bisect_right(self.leaps, at, key=lambda leap: leap.at) - 1]
        return (self.counted(at) - self.counted(leap.at) + leap.shows) % self.scale.modulus

    def figures(self, swap: "Swap") -> tuple[int, int]:
        """What both registers showed when the meter was swapped, in counts."""
        places = [place for place, leap in enumerate(self.leaps) if leap.kind.endswith("swap")]
        place = min(places, key=lambda place: abs(self.leaps[place].at - swap.at))
        before, leap = self.leaps[place - 1 : place + 1]
        counts = self.counted(leap.at) - self.counted(before.at) + before.shows
        return counts % self.scale.modulus, leap.shows

    def reaches(self, counts: int, since: int) -> int | None:
        """When so much was counted, if it was within the next days."""
        end = min(since + self._LONG_S, self._flow.length)
        found = bisect_left(range(end), counts, since, key=self.counted)
        return found if found < end else None

    def _moved(self, at: int, kind: str) -> int:
        """A roll-over is where a count is, and where much flows: else its register would stand for
        a night where none of a year's stands.
        """
        if kind != "roll":
            return at
        within = range(at, min(at + ROLLS_WITHIN_S, self._flow.length), 900)
        at = max(within, key=lambda end: self._flow.joules(end) - self._flow.joules(end - 7200))
        found = self.reaches(self.counted(at) + 1, at)
        assert found is not None, "nothing flows"
        return found

    def _shows_at(self, at: int, kind: str, following: tuple[int, str]) -> int:
        if kind == "reset":
            return 0
        if kind == "ratio":
            return self.shows(at) // 2
        if kind == "roll":
            return self.shows(at)
        to_come = self.counted(following[0]) - self.counted(at) if following[1] == "roll" else 0
        return -to_come % self.scale.modulus


class Late(NamedTuple):
    """Readings of first ≤ tick < after come in at `told`, in any order."""

    first: int
    after: int
    told: int


class Swap(NamedTuple):
    """What a user says of a swap: at the tick `told`, that it was at the instant `at`."""

    at: int
    told: int
    figures: bool
    """With what both registers showed."""


@dataclass
class Meter:
    """One meter and its faults, tick by tick."""

    name: str
    zone: str
    max_kw: float | None
    watts: Sequence[int]
    """By tick, until the next one; negative: it flows out."""
    registers: tuple[Register, Register]
    """In and out."""
    states: bytearray
    """By tick; of the counters' readings in `false`."""
    false: tuple[bytearray, bytearray]
    late: list[Late] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)

    def reading(self, tick: int) -> list[float | None]:
        """In, out and power in kW, as the registers say."""
        found: list[float | None] = []
        for register, false in zip(self.registers, self.false, strict=True):
            if false[tick] == TRUE:
                found.append(register.scale.value(register.shows(tick * MINUTE_S)))
            else:
                found.append(0 if false[tick] == ZERO else None)
        return [*found, self.watts[tick] / 1000]

    def joules(self, start: int, end: int) -> int:
        """What flowed in less what flowed out."""
        inward, outward = (register._flow for register in self.registers)
        return (inward.joules(end) - inward.joules(start)) - (
            outward.joules(end) - outward.joules(start)
        )

    def good(self, counter: int, tick: int) -> bool:
        """Whether a counter's true reading of the tick came."""
        return self.states[tick] == HERE and self.false[counter][tick] == TRUE

    def disturbed(self, counter: int) -> bytearray:
        """1 for each tick whose reading, or the step before it, is not as it should be."""
        found = bytearray(0 if self.good(counter, tick) else 1 for tick in range(len(self.states)))
        for leap in self.registers[counter].leaps[1:]:
            found[self._after(counter, leap.at)] = 1
        return found

    def hidden(self, counter: int, leap: Leap) -> int:
        """Counts of which nothing can be known: none for a roll-over, or when figures are told."""
        if leap.kind in {"roll", "swap"}:
            return 0
        register, before = self.registers[counter], self._before(counter, leap.at)
        end = leap.at if leap.kind == "reset" else self._after(counter, leap.at) * MINUTE_S
        return register.counted(end) - register.counted(before * MINUTE_S)

    def doubtful(self, counter: int, leap: Leap) -> int:
        """Counts that may be taken for those of a false zero: a register that still shows 0 after
        its reset, and is beyond where it was when it is read again, may have come back.
        """
        if leap.kind != "reset":
            return 0
        register = self.registers[counter]
        place = register.shows(self._before(counter, leap.at) * MINUTE_S)
        passes = register.reaches(register.counted(leap.at) + place, leap.at)
        if passes is None:
            return 0
        return 0 if register.shows(self._before(counter, passes) * MINUTE_S) else place

    def _before(self, counter: int, at: int) -> int:
        tick = (at - 1) // MINUTE_S
        while not self.good(counter, tick):
            tick -= 1
        return tick

    def _after(self, counter: int, at: int) -> int:
        tick = -(-at // MINUTE_S)
        while not self.good(counter, tick):
            tick += 1
        return tick
