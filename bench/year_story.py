"""A simulated year told to a database as it passes: readings, stops, late ones, what users say.

Readings go through the store that the recorder's thread has; quarter hours are made every few
hours, by accounts that are begun anew or killed between two transactions now and then.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine

from bench.year_faults import RATIO_S, Plant, Stop
from bench.year_plant import MINUTE_S, MUTE, NOBODY, Late, Meter, Swap
from emdc.reading import Gap, MeterProfile, MeterReading, Topic
from emdc.storage import registry
from emdc.storage.database import connected
from emdc.storage.intervals import corrections
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.intervals.commit import Work
from emdc.storage.intervals.corrections import Said
from emdc.storage.lateness import Frontier
from emdc.storage.spool.backlog import Entry
from emdc.storage.store import Store

COUNTERS = ("in", "out")
METRICS = (*COUNTERS, "kw")
LONGEST_STEP = 960
"""Minutes from one making of quarter hours to the next."""
AT_ONCE = 500
"""Readings in one transaction."""
KILLS = 0.02
"""So many of the accounts' transactions are their last."""


class _KilledError(Exception):
    """The process ended here, as far as the accounts can tell."""


class Story:
    """Tells a plant's time, once."""

    def __init__(self, engine: Engine, plant: Plant, seed: int) -> None:
        self.kills = self.made = 0
        self._engine = engine
        self._plant = plant
        self._chance = random.Random(seed)
        self._ratios = dict.fromkeys((meter.name for meter in plant.meters), 2.0)
        self._now = plant.start
        self._late: list[tuple[Meter, Late]] = []
        self._accounts = self._new_accounts()
        self._register()
        self._numbers = self._accounts.meters()

    @property
    def end(self) -> datetime:
        """When the last quarter hours were made."""
        return self._now

    def tell(self) -> None:
        """All of it."""
        at = 0
        for tick, event in self._events():
            while at < tick:
                at = self._go_on(at, min(tick, at + self._chance.randrange(10, LONGEST_STEP)))
            match event:
                case Stop():
                    self._start_again(event)
                    at = event.after
                case (Meter() as meter, Late() as late):
                    self._tell_late(meter, late)
                case (Meter() as meter, Swap() as swap):
                    self._say(meter, swap)
        self._finish()
        self._store.close()

    def _events(self) -> Iterator[tuple[int, object]]:
        """What happens at which tick, and the end."""
        plant = self._plant
        events: list[tuple[int, object]] = [(stop.first, stop) for stop in plant.stops]
        for meter in plant.meters:
            events += [(late.told, (meter, late)) for late in meter.late]
            events += [(swap.told, (meter, swap)) for swap in meter.swaps]
        yield from sorted(events, key=lambda event: event[0])
        yield plant.ticks, None

    def _go_on(self, at: int, until: int) -> int:
        """Store what comes from one tick to another, then make quarter hours."""
        entries: list[Entry] = []
        for meter in self._plant.meters:
            late = {tick for one in meter.late for tick in range(one.first, one.after)}
            entries += _entries(
                self._plant, meter, [tick for tick in range(at, until) if tick not in late]
            )
        entries.sort(key=lambda e: e.tick if isinstance(e, MeterReading) else e.from_ts)
        self._commit(entries)
        self._now = self._plant.at(until) - timedelta(seconds=self._chance.uniform(1, 59))
        self._advance()
        return until

    def _commit(self, entries: Sequence[Entry]) -> None:
        for first in range(0, len(entries), AT_ONCE):
            outcome = self._store.commit(entries[first : first + AT_ONCE])
            assert not outcome.refused
            assert not outcome.conflicts

    def _start_again(self, stop: Stop) -> None:
        """The collector ends, and starts again with what its settings are then."""
        if stop.clean:
            self._store.mark_stop(self._now)
        self._store.close()
        self._accounts = self._new_accounts()
        self._now = self._plant.at(stop.after) - timedelta(seconds=RATIO_S)
        if stop.ratio_of is not None:
            self._ratios[stop.ratio_of] /= 2
        self._register()

    def _register(self) -> None:
        profiles = [_profile(meter, self._ratios) for meter in self._plant.meters]
        with connected(self._engine, write=True) as connection:
            layouts = registry.register(connection, profiles, self._now)
        made_until = Frontier(lambda: self._now).ts
        self._store = Store(self._engine, layouts, memory_limit=0, made_until=made_until)

    def _tell_late(self, meter: Meter, late: Late) -> None:
        """In pieces, the pieces in any order."""
        entries = _entries(self._plant, meter, range(late.first, late.after))
        pieces = [entries[first : first + 120] for first in range(0, len(entries), 120)]
        self._chance.shuffle(pieces)
        for piece in pieces:
            self._commit(piece)
            if self._chance.random() < 0.3:
                self._advance()

    def _say(self, meter: Meter, swap: Swap) -> None:
        at = self._plant.start.timestamp() + swap.at
        for counter in corrections.counters_of(self._engine, self._numbers[meter.name]):
            register = meter.registers[COUNTERS.index(counter.name.rpartition("/")[2])]
            figures = map(register.scale.value, register.figures(swap)) if swap.figures else ()
            corrections.say(self._engine, [counter], at, Said("swap", *figures))

    def _advance(self) -> None:
        """Make each meter's quarter hours, or only some, or die of it."""
        for number in self._numbers.values():
            if self._chance.random() < 0.1:
                continue
            try:
                self.made += self._accounts.advance(number, self._now).cells
            except _KilledError:
                self.kills += 1
                self._accounts = self._new_accounts()

    def _finish(self) -> None:
        """Until nothing is left to do."""
        self._accounts = Accounts(self._engine)
        for number in self._numbers.values():
            self.made += self._accounts.advance(number, self._now).cells

    def _new_accounts(self) -> Accounts:
        return Accounts(
            self._engine, write=self._write, tell=lambda _cells: self._chance.random() < 0.9
        )

    def _write(self, work: Work) -> None:
        """In a transaction; before or after it may be the end."""
        if self._chance.random() < KILLS / 2:
            raise _KilledError
        with connected(self._engine, write=True) as connection:
            work(connection)
            if self._chance.random() < KILLS / 2:
                raise _KilledError
        if self._chance.random() < KILLS / 2:
            raise _KilledError


def _profile(meter: Meter, ratios: Mapping[str, float]) -> MeterProfile:
    scale = meter.registers[0].scale
    modulus = scale.value(scale.modulus)
    digits = scale.decimals or None
    counters = [Topic(n, scale.unit, "counter", digits, modulus=modulus) for n in COUNTERS]
    settings: dict[str, str | float] = {"timezone": meter.zone, "ct_ratio": ratios[meter.name]}
    if meter.max_kw is not None:
        settings["max_power"] = meter.max_kw
    topics = (*counters, Topic("kw", "kW", digits=3))
    return MeterProfile(meter.name, topics, float(MINUTE_S), settings)


def _entries(plant: Plant, meter: Meter, ticks: Sequence[int]) -> list[Entry]:
    """What came of these ticks: readings, and gaps where nobody read."""
    found: list[Entry] = []
    for tick in ticks:
        at, state = plant.at(tick), meter.states[tick]
        if state == NOBODY:
            found.append(Gap(meter.name, at, plant.at(tick + 1), "overrun"))
            continue
        values = (None, None, None) if state == MUTE else tuple(meter.reading(tick))
        reason = "connect_timeout" if state == MUTE else "read_timeout"
        gaps = {n: reason for n, v in zip(METRICS, values, strict=True) if v is None}
        found.append(
            MeterReading(meter.name, at, at + timedelta(milliseconds=30), METRICS, values, gaps)
        )
    return found
