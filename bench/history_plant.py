"""The database that the figures of history are asked of: the plant's meters, their quarter hours.

Meters of minutes, one of seconds, and one of which only closed days of a year are there. Readings
are written as the daemon writes them and folded as its thread folds them, up to twenty minutes
before the last one, so that each answer has a part that is not stored yet.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert

from bench import plant
from bench.engines import Database
from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.storage import database, migrate, registry
from emdc.storage.instants import to_text
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.schema import interval_days
from emdc.storage.store import Store

MINUTE_S = 60
SECONDS = "plant/seconds/meter"
YEAR = "plant/year/meter"
YEAR_DAYS = 366
UNITS = {"volts": "V", "watts": "W", "amps": "A", "angle": "deg", "wh": "Wh"}
TOPICS = tuple(
    Topic(topic.name, UNITS[topic.name.rpartition("_")[0]], topic.kind, topic.digits)
    for topic in plant.TOPICS
)

_ROWS_AT_ONCE = 1000
_CELLS = 96
_CELL_WH = 54_105


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    meters: int
    """Of minutes, 100 metrics each."""
    minutes: int
    seconds: int

    @property
    def end(self) -> datetime:
        """When the last reading was."""
        return plant.START + timedelta(minutes=self.minutes - 1)

    @property
    def seconds_start(self) -> datetime:
        """When the first reading of the meter of seconds was."""
        return plant.START


def minute_values(meter: int, tick: int) -> tuple[float | int, ...]:
    """The plant's, but that energies follow from a power that a meter can measure."""
    values = plant.values(meter, tick)
    return (*values[:85], *(1_000_000 + 3_607 * tick + 11 * n for n in range(15)))


@contextmanager
def filled(place: Database, size: Size) -> Iterator[Engine]:
    """The database, once all is in it."""
    engine = database.open_engine(place.url)
    try:
        migrate.prepare(engine)
        names = [plant.name_of(meter) for meter in range(size.meters)]
        profiles = [MeterProfile(name, TOPICS, MINUTE_S) for name in names]
        profiles += [MeterProfile(SECONDS, TOPICS, 1.0)] * bool(size.seconds)
        with database.connected(engine, write=True) as connection:
            layouts = registry.register(connection, profiles, plant.START)
        store = Store(engine, layouts, memory_limit=0)
        for rows in _readings(size):
            store.commit(rows)
        store.close()
        _leave_a_year(engine)
        accounts = Accounts(engine)
        for name, number in accounts.meters().items():
            last = size.seconds_start + timedelta(seconds=size.seconds)
            until = last if name == SECONDS else size.end
            accounts.advance(number, until - timedelta(minutes=20))
        _settle(place)
        yield engine
    finally:
        engine.dispose()


def _readings(size: Size) -> Iterator[list[MeterReading]]:
    """In portions, those of all meters together."""
    ticks = max(1, _ROWS_AT_ONCE // size.meters)
    for start in range(0, size.minutes, ticks):
        yield [
            _reading(plant.name_of(meter), meter, tick, MINUTE_S)
            for tick in range(start, min(start + ticks, size.minutes))
            for meter in range(size.meters)
        ]
    for start in range(0, size.seconds, _ROWS_AT_ONCE):
        span = range(start, min(start + _ROWS_AT_ONCE, size.seconds))
        yield [_reading(SECONDS, 3, tick, 1) for tick in span]


def _reading(name: str, meter: int, tick: int, interval_s: int) -> MeterReading:
    at = plant.START + timedelta(seconds=tick * interval_s)
    read_at = at + timedelta(milliseconds=40)
    values = minute_values(meter, tick) if interval_s > 1 else _second_values(tick)
    return MeterReading(name, at, read_at, plant.NAMES, values, {})


def _second_values(tick: int) -> tuple[float | int, ...]:
    values = plant.values(3, tick)
    return (*values[:85], *(1_000_000 + 60 * tick + 11 * n for n in range(15)))


def _leave_a_year(engine: Engine) -> None:
    """Closed days of one counter, written past the accounts."""
    profile = MeterProfile(YEAR, (Topic("wh_00", "Wh", "counter"),), None)
    with database.connected(engine, write=True) as connection:
        registry.register(connection, [profile], plant.START, scheduled=False)
        topics = registry.Topics(connection).known
        topic_id = topics[f"{YEAR}/wh_00"].topic_id
        for day in range(YEAR_DAYS):
            connection.execute(insert(interval_days).values(_day(topic_id, day)))


def year_start() -> datetime:
    """Of the meter of which a year is there."""
    return datetime(2024, 1, 1, tzinfo=UTC)


def _day(topic_id: int, day: int) -> dict[str, Any]:
    register = [1e6 + _CELL_WH * (day * _CELLS + n) for n in range(_CELLS + 1)]
    energies = [round(_CELL_WH * (1 + math.sin(n / 15)), 3) for n in range(_CELLS)]
    arrays: dict[str, Sequence[float]] = {
        "counts": [15] * _CELLS,
        "minima": register[:-1],
        "maxima": register[1:],
        "means": [value + _CELL_WH / 2 for value in register[:-1]],
        "firsts": register[:-1],
        "lasts": register[1:],
        "energies": energies,
        "dues": [15] * _CELLS,
        "qualities": [0] * _CELLS,
    }
    begin = to_text(year_start() + timedelta(days=day))
    texts = {name: f"[{','.join(map(repr, values))}]" for name, values in arrays.items()}
    return {"topic_id": topic_id, "day": begin, **texts, "state": None}


def _settle(place: Database) -> None:
    """What servers do by themselves, a minute after many rows have changed."""
    if place.kind == "postgresql":
        place.rows("VACUUM ANALYZE")
    if place.kind == "mariadb":
        place.rows("ANALYZE TABLE readings, topics, interval_rows, interval_days, interval_details")
