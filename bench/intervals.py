"""Figure 20: what keeping the quarter hours costs, on each kind of database.

Meters of 100 metrics that are read each second: one quarter hour of them is in the database, and
the beginnings of the one before and of the next. A process of its own then has what the daemon has:
a recorder, and beside it the thread that makes quarter hours, one meter after the other. CPU is
that of the two threads, and of the whole process; that of a server is not in it. What 1000 meters
would cost, and how long they would take, is reckoned from fewer: the work for each is the same.
"""

import asyncio
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench import engines, plant, rig
from bench.engines import Database
from bench.rig import Result, at_most, exactly
from emdc.daemon import calm_garbage_collection
from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.storage.database import open_engine
from emdc.storage.intervals.accountant import Accountant
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.recorder import Recorder

METERS = 20
LONG_METERS = 200
MANY = 1000
"""Meters for which the targets are."""
CELL_S = 900
BEFORE_S, AFTER_S = 60, 20
"""Seconds that are there of the quarter hours around the one that is measured."""
BEGIN = plant.START + timedelta(seconds=CELL_S)
"""Of that one."""
UNITS = {"volts": "V", "watts": "W", "amps": "A", "angle": "deg", "wh": "Wh"}
TOPICS = tuple(
    Topic(topic.name, UNITS[topic.name.rpartition("_")[0]], topic.kind, topic.digits)
    for topic in plant.TOPICS
)
GAUGES = sum(topic.kind == "gauge" for topic in TOPICS)
DIFFERENT = 64
"""Ticks with gauges of their own; later ones repeat them."""
AT_ONCE = 2000
"""Readings that are written together."""
PATIENCE_S = 3600.0
THREADS = {"emdc-intervals": "reckons", "emdc-database": "writes"}


def run(*, long: bool) -> list[Result]:
    """20 meters, or 200, on each kind."""
    results: list[Result] = []
    meters = LONG_METERS if long else METERS
    for kind in engines.KINDS:
        with (
            tempfile.TemporaryDirectory() as name,
            engines.new_database(kind, Path(name)) as place,
        ):
            command = [sys.executable, "-m", "bench.intervals", place.url, str(meters)]
            results += _results(place, meters, rig.run_json(command, PATIENCE_S))
    return results


def _results(place: Database, meters: int, found: dict[str, float]) -> list[Result]:
    title = place.title
    whole = f"[{','.join([str(CELL_S)] * len(TOPICS))}]"
    made = place.rows("SELECT count(*) FROM interval_rows WHERE counts = ?", whole)[0][0]
    halves = place.rows("SELECT count(*) FROM interval_details")[0][0]
    turn_s = found["round"] / meters
    return [
        exactly(f"{title}: whole quarter hours made, of {meters} meters", made, meters),
        exactly(f"{title}: half minutes of them", halves, meters),
        *(
            Result(f"{title}: CPU of the thread that {what}, a meter", f"{found[what]:.1f} ms")
            for what in THREADS.values()
        ),
        Result(f"{title}: CPU of the process, a meter", f"{found['process']:.1f} ms"),
        Result(f"{title}: peak of memory", f"{found['peak']:.0f} MB"),
        at_most(f"{title}: 1000 meters, of one core", 100 * found["process"] / CELL_S, 10, " %"),
        Result(f"{title}: a meter's turn, with the rests in it", f"{1000 * turn_s:.0f} ms"),
        at_most(f"{title}: 1000 meters, time for it", MANY * turn_s, CELL_S, " s"),
    ]


class Clock:
    """What time it is said to be."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """That."""
        return self.now


async def measured(url: str, meters: int) -> dict[str, float]:
    """Milliseconds of CPU a meter; seconds that all took."""
    engine, clock = open_engine(url), Clock(BEGIN - timedelta(seconds=BEFORE_S))
    profiles = [MeterProfile(plant.name_of(meter), TOPICS, 1.0) for meter in range(meters)]
    recorder = Recorder(engine, clock=clock)
    try:
        await recorder.start(profiles, clock.now)
        for readings in _readings(meters):
            await recorder.write(readings)
        # The one before is made: what is measured goes on from there, as in all of a day.
        clock.now = BEGIN + timedelta(seconds=AFTER_S)
        accounts = Accounts(engine)
        for number in accounts.meters().values():
            accounts.advance(number, clock.now)
        clock.now += timedelta(seconds=CELL_S)
        calm_garbage_collection()
        keeper = Accountant(engine, recorder.delivery, profiles, clock=clock, spread_s=0.0)
        return await _one_round(keeper, meters)
    finally:
        await recorder.stop()
        engine.dispose()


async def _one_round(keeper: Accountant, meters: int) -> dict[str, float]:
    before = {"process": time.process_time()}
    before |= _of_threads()
    began = time.perf_counter()
    working = asyncio.create_task(keeper.run())
    end = BEGIN + timedelta(seconds=CELL_S)
    while keeper.status().made_until != end:
        await asyncio.sleep(0.1)
        if keeper.status().last_error is not None:
            raise SystemExit(f"quarter hours: {keeper.status().last_error}")
    took = time.perf_counter() - began
    after = {"process": time.process_time()} | _of_threads()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    spent = {what: 1000 * (after[what] - before.get(what, 0.0)) / meters for what in after}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**spent, "round": took, "peak": peak}


def _of_threads() -> dict[str, float]:
    """Seconds of CPU that threads have used."""
    return {
        THREADS[thread.name]: time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.name in THREADS and thread.ident is not None
    }


def _readings(meters: int) -> Iterator[list[MeterReading]]:
    """All meters' in order of time, in portions."""
    gauges = [plant.values(7, tick)[:GAUGES] for tick in range(DIFFERENT)]
    ticks = max(1, AT_ONCE // meters)
    for start in range(-BEFORE_S, CELL_S + AFTER_S, ticks):
        yield [
            _reading(meter, tick, gauges[(meter + tick) % DIFFERENT])
            for tick in range(start, min(start + ticks, CELL_S + AFTER_S))
            for meter in range(meters)
        ]


def _reading(meter: int, tick: int, gauges: tuple[Any, ...]) -> MeterReading:
    at = BEGIN + timedelta(seconds=tick)
    counters = (1_000_000 + 60 * tick + 11 * n for n in range(len(TOPICS) - GAUGES))
    read_at = at + timedelta(microseconds=40_000 + 13 * meter)
    return MeterReading(plant.name_of(meter), at, read_at, plant.NAMES, (*gauges, *counters), {})


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured(sys.argv[1], int(sys.argv[2])))))
