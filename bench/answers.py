"""Figure 18: the same answers on every kind of database, as ticks pass and reckoned again.

Meters with outages, single gaps, glitches, counters that begin anew and registers beyond 2^53 are
stored alike everywhere. Their quarter hours are made as ticks pass, in pieces of random length.
Questions for random topics and spans are then compared digit by digit: between the kinds, and on
each with the answers after all quarter hours were made again, from the beginning and in one go.
"""

import math
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from bench import engines
from bench.rig import Result, exactly
from emdc.energy.answers import Per
from emdc.reading import MeterProfile, MeterReading, Topic, Value
from emdc.storage import database, migrate, registry
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.layout import MeterLayout
from emdc.storage.past.chronicle import Chronicle, Zones
from emdc.storage.store import Store

START = datetime(2026, 3, 5, tzinfo=UTC)
ZONE = "America/Los_Angeles"
"""Its clocks are set on the fourth day."""
TOPICS = (
    Topic("wh", "kWh", "counter", digits=3),
    Topic("pulses", "", "counter"),
    Topic("long", "Wh", "counter"),
    Topic("kw", "kW", digits="float32"),
    Topic("volts", "V", digits=6),
    Topic("serial", "", "text"),
    Topic("slow", "V", digits=2, interval_s=300),
)
NAMES = tuple(topic.name for topic in TOPICS)
NUMBERS = tuple(topic.name for topic in TOPICS if topic.kind != "text")
REASONS = ("read_timeout", "exception:2", "protocol_error:crc")

_READINGS_AT_ONCE = 500


@dataclass(frozen=True)
class Meter:
    """One meter of the comparison."""

    name: str
    interval_s: int
    ticks: int

    @property
    def end(self) -> datetime:
        """After its last tick."""
        return START + timedelta(seconds=self.interval_s * self.ticks)


def run(*, long: bool) -> list[Result]:
    """Five days of minutes and seven hours of seconds; 20 days and a day with `--long`."""
    minutes, seconds, questions = (20 * 1440, 86_400, 3000) if long else (5 * 1440, 25_000, 600)
    meters = [Meter("a/minutes", 60, minutes), Meter("b/seconds", 1, seconds)]
    said: dict[str, list[str]] = {}
    again: dict[str, list[str]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for kind in engines.KINDS:
            place = stack.enter_context(engines.new_database(kind, folder))
            engine = stack.enter_context(_filled(place.url, meters))
            said[kind] = _answers(engine, meters, questions)
            _reckon_again(engine, meters)
            again[kind] = _answers(engine, meters, questions)
    results = []
    for kind in engines.KINDS:
        title = engines.TITLES[kind]
        if kind != "sqlite":
            what = f"{title}: answers that differ from SQLite's"
            results.append(exactly(what, _differing(said["sqlite"], said[kind]), 0))
        what = f"{title}: answers that differ once all was reckoned again"
        results.append(exactly(what, _differing(said[kind], again[kind]), 0))
    answers = said["sqlite"]
    numbers = sum(answer.count(",") for answer in answers)
    results.append(Result(f"{len(answers)} answers of each kind", f"{numbers:,} values"))
    return results


def _differing(some: list[str], others: list[str]) -> int:
    assert len(some) == len(others)
    pairs = [(a, b) for a, b in zip(some, others, strict=True) if a != b]
    for one, other in pairs[:3]:
        at = next(n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
        print(f"  {one[:200]} ... {one[max(0, at - 80) : at + 80]}")
        print(f"  but {other[max(0, at - 80) : at + 80]}")
    return len(pairs)


@contextmanager
def _filled(url: str, meters: Sequence[Meter]) -> Iterator[Engine]:
    """A database in which the meters' quarter hours were made as ticks passed."""
    engine = database.open_engine(url)
    try:
        migrate.prepare(engine)
        settings = {"timezone": ZONE}
        profiles = [MeterProfile(m.name, TOPICS, m.interval_s, settings) for m in meters]
        with database.connected(engine, write=True) as connection:
            layouts = registry.register(connection, profiles, START)
        for meter in meters:
            _record(engine, layouts, meter)
        yield engine
    finally:
        engine.dispose()


def _record(engine: Engine, layouts: Mapping[str, MeterLayout], meter: Meter) -> None:
    store, accounts = Store(engine, layouts, memory_limit=0), Accounts(engine)
    number = accounts.meters()[meter.name]
    chance, waiting = random.Random(meter.name), list[MeterReading]()
    for reading in _plant(meter):
        waiting.append(reading)
        if len(waiting) == _READINGS_AT_ONCE:
            store.commit(waiting)
            waiting = []
            if chance.random() < 0.5:
                accounts.advance(number, reading.tick + timedelta(seconds=chance.random() * 1000))
    store.commit(waiting)
    store.close()
    accounts.advance(number, meter.end - timedelta(seconds=min(2000, meter.interval_s * 1000)))


def _reckon_again(engine: Engine, meters: Sequence[Meter]) -> None:
    accounts = Accounts(engine)
    for meter in meters:
        end = meter.end - timedelta(seconds=min(2000, meter.interval_s * 1000))
        accounts.advance(accounts.meters()[meter.name], end, since=START)


class _Counter:
    """A register, and what happens to it now and then."""

    def __init__(self, chance: random.Random, start: float, rise: float, digits: int) -> None:
        self._chance = chance
        self._rise = rise
        self._digits = digits
        self.value = start

    def next(self) -> float:
        """What it shows now."""
        self.value += self._rise * self._chance.random()
        if self._chance.random() < 0.0004:
            self.value = 0 if self._digits else self.value // 2
        if self._chance.random() < 0.001:
            return self._chance.choice([0, self.value * 10, self.value + 5e6])
        return round(self.value, self._digits) if self._digits else int(self.value)


def _plant(meter: Meter) -> Iterator[MeterReading]:
    """Its readings, the same at each call."""
    chance = random.Random(f"readings of {meter.name}")
    hours = meter.interval_s / 3600
    counters = (
        _Counter(chance, 5000.0, 80 * hours, 3),
        _Counter(chance, 0, 1000 * hours, 0),
        _Counter(chance, 2**53 - 10_000, 60_000 * hours, 0),
    )
    silent = 0
    for tick in range(meter.ticks):
        values: list[Value] = [*(_exact(counter.next()) for counter in counters)]
        values += [5 * math.sin(tick * hours), chance.uniform(225, 235), f'S/N {tick // 1000}, "x"']
        values.append(chance.uniform(10, 20))
        if silent == 0 and chance.random() < 0.0005:
            silent = chance.randrange(5, 200)
        silent = max(0, silent - 1)
        if silent and tick % 3:
            continue  # the program did not run either
        yield _reading(meter, tick, values, chance, dead=silent > 0)


def _exact(value: float) -> float:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _reading(
    meter: Meter, tick: int, values: list[Value], chance: random.Random, *, dead: bool
) -> MeterReading:
    at = START + timedelta(seconds=tick * meter.interval_s)
    due = len(NAMES) if tick * meter.interval_s % 300 == 0 else len(NAMES) - 1
    names = NAMES[:due]
    if dead:
        gaps = dict.fromkeys(names, "connect_timeout")
    else:
        gaps = {name: chance.choice(REASONS) for name in names if chance.random() < 0.004}
    shown = tuple(None if n in gaps else v for n, v in zip(names, values, strict=False))
    return MeterReading(meter.name, at, at + timedelta(milliseconds=30), names, shown, gaps)


def _answers(engine: Engine, meters: Sequence[Meter], count: int) -> list[str]:
    """With every digit; 7 and 7.0 are not the same."""
    now = max(meter.end for meter in meters).timestamp()
    chance = random.Random(18)
    with Chronicle(engine, clock=lambda: now, zones=Zones({}, ZONE)) as chronicle:
        return [repr(_asked(chronicle, meters, chance)) for _ in range(count)]


def _asked(chronicle: Chronicle, meters: Sequence[Meter], chance: random.Random) -> Any:
    meter = chance.choice(meters)
    name = f"{meter.name}/{chance.choice(NAMES)}"
    number = f"{meter.name}/{chance.choice(NUMBERS)}"
    counted = f"{meter.name}/{chance.choice(['wh', 'pulses', 'long', 'kw'])}"
    first, length = START.timestamp(), meter.interval_s * meter.ticks
    start = first + chance.uniform(0, length)
    end = start + min(length, length * 2 ** chance.uniform(-12, 0))
    step_s = chance.choice([None, None, None, 0.0, 1.0, 30.0, 60.0, 600.0, 900.0, 3600.0])
    points = chance.choice([50, 300, 1000])
    per: Per = chance.choice(["15min", "hour", "day", "month", "total"])
    kind = chance.randrange(7)
    if kind == 0:
        return chronicle.topic(name), chronicle.newest(name)
    if kind == 1:
        return chronicle.readings(name, start, end, 1000)
    if kind == 2:
        return chronicle.gaps(name if chance.random() < 0.5 else meter.name, start, end, 200)
    if kind == 3:
        return chronicle.energy(counted, start, end, per)
    if kind == 4:
        return chronicle.series(number, first, first + length, step_s=step_s, points=points)
    return chronicle.series(number, start, end, step_s=step_s, points=points)
