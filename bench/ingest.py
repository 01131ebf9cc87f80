"""Figure 7: samples a second into each kind of database, beside one row for each value.

1000 meters of 100 metrics: each tick is one durable, idempotent transaction of 100,000 samples
through `Store.commit`, the way that the daemon's readings go: rounding, JSON, insert, commit. The
old way is in `ingest_old.py`; it writes 20,000 values a round, on the same engine in a database of
its own. The sides run in turns, medians of the rounds; `insert alone` is the same transaction with
its rows made before. Then the bytes that a sample takes.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from bench import engines, plant, rig
from bench.engines import Database
from bench.ingest_old import WAYS, old_way
from bench.rig import Result, at_least, at_most, exactly
from emdc.reading import MeterReading
from emdc.storage import database
from emdc.storage.engines.sqlite import IMMEDIATE
from emdc.storage.layout import MeterLayout
from emdc.storage.store import Store

Layouts = dict[str, MeterLayout]
Write = Callable[[list[MeterReading]], float]
"""Stores readings durably; the seconds that it took."""

METERS = 1000
INTERVAL_S = 1
ROUNDS = 6
OLD_METERS = 200
"""So many meters' values are one round of the old way."""
FAR = 1_000_000
"""The first tick of the rows that are inserted alone."""
TARGETS = {
    # kind: how many times the old way, bytes a sample
    "sqlite": (100, 16),
    "postgresql": (50, 12),
    "mariadb": (20, 20),
}


def run(*, long: bool) -> list[Result]:
    """60 ticks on each kind of database, or 300."""
    results: list[Result] = []
    for kind in engines.KINDS:
        results += _measure(kind, (300 if long else 60) // ROUNDS)
    return results


def _measure(kind: str, ticks: int) -> list[Result]:
    least, most = TARGETS[kind]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = stack.enter_context(engines.new_database(kind, Path(name)))
        beside = stack.enter_context(engines.new_database(kind, Path(name)))
        registered = plant.registered(place.url, METERS, INTERVAL_S)
        engine, layouts = stack.enter_context(registered)
        empty = _bytes(place)
        sides = {
            "emdc": _new(stack.enter_context(_committing(engine, layouts)), ticks),
            "insert": _new(stack.enter_context(_inserting(engine, layouts)), ticks, FAR),
            "old": _old(stack.enter_context(old_way(beside))),
        }
        measured = rig.interleaved(sides, ROUNDS)
        rows = int(place.rows("SELECT count(*) FROM readings")[0][0])
        per_sample = (_bytes(place) - empty) / (rows * plant.METRICS)
    rates = {side: rig.median(runs, "samples_per_s") for side, runs in measured.items()}
    title = place.title
    return [
        Result(f"{title}: old way ({WAYS[kind]})", f"{rates['old']:,.0f} samples/s"),
        Result(f"{title}: Store.commit", f"{rates['emdc']:,.0f} samples/s"),
        Result(f"{title}: insert alone", f"{rates['insert']:,.0f} samples/s"),
        at_least(f"{title}: Store.commit / old way", rates["emdc"] / rates["old"], least),
        at_most(f"{title}: bytes a sample", per_sample, most, " B"),
        exactly(f"{title}: readings in the database", rows, 2 * ROUNDS * ticks * METERS),
    ]


def _new(write: Write, ticks: int, first: int = 0) -> Callable[[], dict[str, float]]:
    following = first

    def side() -> dict[str, float]:
        nonlocal following
        span = range(following, following + ticks)
        following += ticks
        seconds = statistics.median(map(write, plant.cycles(METERS, span, INTERVAL_S)))
        return {"samples_per_s": METERS * plant.METRICS / seconds}

    return side


@contextmanager
def _committing(engine: Engine, layouts: Layouts) -> Iterator[Write]:
    store = Store(engine, layouts, memory_limit=0)

    def write(readings: list[MeterReading]) -> float:
        started = time.perf_counter()
        store.commit(readings)
        return time.perf_counter() - started

    yield write
    store.close()


@contextmanager
def _inserting(engine: Engine, layouts: Layouts) -> Iterator[Write]:
    """The same rows in the same kind of transaction, without what comes before the insert."""
    dialect = database.DIALECTS[engine.dialect.name]
    with engine.connect().execution_options(**{IMMEDIATE: True}) as kept:

        def write(readings: list[MeterReading]) -> float:
            rows = [layouts[one.meter].row(one) for one in readings]
            started = time.perf_counter()
            with kept.begin():
                dialect.insert_readings(kept, rows)
            return time.perf_counter() - started

        yield write


def _old(write: Callable[..., float]) -> Callable[[], dict[str, float]]:
    tick = 0

    def side() -> dict[str, float]:
        nonlocal tick
        tick += 1
        values = [v for meter in range(OLD_METERS) for v in plant.values(meter, tick)]
        seconds = write((plant.START + timedelta(seconds=tick)).replace(tzinfo=None), values)
        return {"samples_per_s": len(values) / seconds}

    return side


def _bytes(place: Database) -> int:
    """What the readings take on disk, keys included; on SQLite the whole file."""
    if place.kind == "sqlite":
        place.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(place.name).stat().st_size
    if place.kind == "postgresql":
        return int(place.rows("SELECT pg_total_relation_size('readings')")[0][0])
    place.rows("ANALYZE TABLE readings")
    sizes = (
        "SELECT data_length + index_length FROM information_schema.tables"
        " WHERE table_schema = ? AND table_name = 'readings'"
    )
    return int(place.rows(sizes, place.name)[0][0])
