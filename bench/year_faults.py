"""What befalls the meters of a simulated year, drawn from a seed.

Every meter rolls over, is reset, swapped and scaled anew, in and out of outages; it shows false
zeros and is silent; a day of its readings comes late. All of them stop when the collector does.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from bench.year_plant import (
    DAY,
    MILLIS,
    MINUTE_S,
    MISSING,
    MUTE,
    NOBODY,
    ROLLS_WITHIN_S,
    WATT_HOURS,
    WHOLE,
    ZERO,
    Flow,
    Late,
    Meter,
    Register,
    Scale,
    Swap,
)

APART = 10
"""Ticks between two faults. Closer ones can look like another: two zeros, and then a reset."""
MARGIN = 240
"""Ticks without a fault at both ends."""
LEAPS = ("roll", "reset", "ratio", "swap", "roll", "reset", "bare swap", "roll")
"""In this order in each meter's time."""
SILENT = {5, 7}
"""Places in LEAPS of those that nobody sees."""
LONGEST = 3 * DAY
"""Of an outage."""
DAYS_OF_FAULTS = 60
"""So often there are as many faults as the numbers below say."""
OUTAGES, STOPS, LATE = 10, 2, 1
ZEROS = ((1, 4), (2, 3), (60, 2))
"""How long, and how often."""
RATIO_S = 20
"""So long before its first tick the collector has started, with another ratio or not."""
MISSING_EACH = 700
"""Ticks for each value that is missing alone."""


class Kind(NamedTuple):
    """A meter as it is before anything happens."""

    name: str
    zone: str
    scale: Scale
    watts: int
    """About what flows at noon."""
    max_kw: float | None
    """What the settings say that it can measure."""


KINDS = (
    Kind("paris/meter", "Europe/Paris", MILLIS, 30_000, 200.0),
    Kind("new_york/meter", "America/New_York", WATT_HOURS, 90_000, None),
    Kind("lord_howe/meter", "Australia/Lord_Howe", WHOLE, 400_000, 2000.0),
)


class Stop(NamedTuple):
    """The collector does not run for first ≤ tick < after."""

    first: int
    after: int
    clean: bool
    ratio_of: str | None
    """The meter whose ratio is another one from then on."""


@dataclass(frozen=True)
class Plant:
    """All meters and what stops all of them."""

    start: datetime
    ticks: int
    meters: Sequence[Meter]
    stops: Sequence[Stop]

    def at(self, tick: int) -> datetime:
        """When a tick is due."""
        return self.start + timedelta(minutes=tick)


def plant(kinds: Sequence[Kind], start: datetime, days: int, chance: random.Random) -> Plant:
    """The meters over so many days."""
    ticks = days * DAY
    often = max(1, round(days / DAYS_OF_FAULTS))
    stops = _stops(kinds, ticks, STOPS * often, chance)
    meters = [_Fate(kind, ticks, stops, chance).meter(often) for kind in kinds]
    return Plant(start, ticks, meters, stops)


def _stops(kinds: Sequence[Kind], ticks: int, count: int, chance: random.Random) -> list[Stop]:
    calendar = _Calendar(ticks, chance)
    found = []
    for kind in kinds:
        first = calendar.take(5, within=_slot(LEAPS.index("ratio"), ticks))
        found.append(Stop(first, first + 5, clean=True, ratio_of=kind.name))
    for _ in range(count):
        length = _length(chance, 2 * DAY)
        first = calendar.take(length)
        found.append(Stop(first, first + length, clean=chance.random() < 0.5, ratio_of=None))
    return sorted(found)


class _Calendar:
    """Ticks that are free of faults."""

    def __init__(self, ticks: int, chance: random.Random) -> None:
        self._taken = bytearray(ticks)
        self._chance = chance

    def take(self, length: int, *, within: tuple[int, int] | None = None) -> int:
        """The first of so many ticks, which are free so far."""
        low, high = within or (0, len(self._taken))
        low, high = max(low, MARGIN), min(high, len(self._taken) - MARGIN) - length
        for _ in range(10_000):
            first = self._chance.randrange(low, high)
            if not any(self._taken[max(first - APART, 0) : first + length + APART]):
                self.block(first, first + length)
                return first
        raise SystemExit(f"no room for {length} ticks between {low} and {high}")

    def block(self, first: int, after: int) -> None:
        """Take these."""
        self._taken[first:after] = b"\1" * (after - first)


class _Fate:
    """One meter's."""

    def __init__(
        self, kind: Kind, ticks: int, stops: Sequence[Stop], chance: random.Random
    ) -> None:
        self._kind = kind
        self._ticks = ticks
        self._stops = stops
        self._chance = chance
        self._calendar = _Calendar(ticks, chance)
        self._states = bytearray(ticks)
        self._false = bytearray(ticks), bytearray(ticks)
        self._swaps: list[Swap] = []
        for stop in stops:
            self._calendar.block(stop.first, stop.after)
            self._silence(stop.first, stop.after, NOBODY)

    def meter(self, often: int) -> Meter:
        """It, with all that happens to it."""
        leaps = [self._leap(place, kind) for place, kind in enumerate(LEAPS)]
        for _ in range(OUTAGES * often):
            self._outage(_length(self._chance, LONGEST))
        for length, count in ZEROS:
            for _ in range(count * often):
                self._zeros(length)
        for _ in range(self._ticks // MISSING_EACH):
            first = self._calendar.take(1)
            self._chance.choice(self._false)[first] = MISSING
        watts = _watts(self._kind.watts, self._ticks, self._chance)
        flows = Flow([max(w, 0) for w in watts]), Flow([max(-w, 0) for w in watts])
        scale = self._kind.scale
        return Meter(
            self._kind.name,
            self._kind.zone,
            self._kind.max_kw,
            watts,
            (Register(flows[0], scale, leaps), Register(flows[1], scale, leaps)),
            self._states,
            self._false,
            [self._late() for _ in range(LATE * often)],
            self._swaps,
        )

    def _leap(self, place: int, kind: str) -> tuple[int, str]:
        if kind == "ratio":
            stop = next(stop for stop in self._stops if stop.ratio_of == self._kind.name)
            return stop.after * MINUTE_S - RATIO_S, kind
        slot = _slot(place, self._ticks)
        silent = place in SILENT or kind.endswith("swap")
        length = self._chance.randrange(20, 400) if silent else 2
        if silent and kind == "roll":
            length += ROLLS_WITHIN_S // MINUTE_S
        first = self._calendar.take(length, within=slot)
        if silent:
            self._silence(first, first + length, MUTE)
        low, high = first * MINUTE_S, (first + min(length, 400) - 1) * MINUTE_S
        at = self._chance.randrange(low, high)
        if kind.endswith("swap"):
            told = first + length + self._chance.randrange(1, DAY)
            said_at = self._chance.randrange(low, high)
            self._swaps.append(Swap(said_at, told, figures=kind == "swap"))
        return at, kind

    def _outage(self, length: int) -> None:
        first = self._calendar.take(length)
        self._silence(first, first + length, self._chance.choice((NOBODY, MUTE)))

    def _silence(self, first: int, after: int, state: int) -> None:
        self._states[first:after] = bytes([state]) * (after - first)

    def _zeros(self, length: int) -> None:
        first = self._calendar.take(length)
        both = length > 2 or self._chance.random() < 0.5
        for false in self._false if both else [self._chance.choice(self._false)]:
            false[first : first + length] = bytes([ZERO]) * length

    def _late(self) -> Late:
        """A day of it, among whatever happens then; the collector runs until it has come in."""
        while True:
            first = self._chance.randrange(MARGIN, self._ticks - 3 * DAY)
            told = first + DAY + self._chance.randrange(60, DAY)
            if all(told < stop.first or stop.after < first - APART for stop in self._stops):
                return Late(first, first + DAY, told)


def _slot(place: int, ticks: int) -> tuple[int, int]:
    """When a leap may be: a roll-over comes up to two days later."""
    return place * ticks // len(LEAPS), (5 * place + 3) * ticks // (5 * len(LEAPS))


def _length(chance: random.Random, most: int) -> int:
    """Of an outage: as many short ones as long ones."""
    return round(math.exp(chance.uniform(0, math.log(most))))


def _watts(most: int, ticks: int, chance: random.Random) -> list[int]:
    """By tick: what is used, less what the sun gives; waves of a day and of a year, and clouds."""
    used = [0.4 + 0.2 * math.sin(2 * math.pi * (n - 500) / DAY) for n in range(DAY)]
    sun = [max(0.0, math.sin(2 * math.pi * (n - 360) / DAY)) for n in range(DAY)]
    found, cloud = [], 1.0
    for tick in range(ticks):
        day, minute = divmod(tick, DAY)
        if tick % 10 == 0:
            cloud = chance.uniform(0.2, 1.0)
        season = 1 - 0.4 * math.cos(2 * math.pi * day / 366)
        watts = used[minute] * (2 - season) - 2 * sun[minute] * season * cloud
        found.append(round(most * watts) + chance.randrange(most // 20))
    return found
