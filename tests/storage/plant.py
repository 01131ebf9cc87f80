"""Meters, readings and databases that the storage tests share."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from emdc.reading import MeterProfile, MeterReading, Topic, Value
from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare
from emdc.storage.recorder import Recorder
from emdc.storage.spool.parcel import Event
from emdc.storage.spool.spool import Spool
from emdc.storage.tally import StorageStatus
from tests.program import PATIENCE_S

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
METER = "UW/Mercer/nexus_meter"
METRICS = ("Voltage_AN", "Wh_delivered", "Serial")


def tick(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def profile(
    name: str = METER, metrics: Sequence[str] = METRICS, interval_s: float | None = 1.0
) -> MeterProfile:
    """A meter whose voltages have six decimals, with a counter and a text."""
    counter, serial = Topic("Wh_delivered", "Wh", "counter"), Topic("Serial", "", "text")
    kinds = {topic.name: topic for topic in (counter, serial)}
    topics = (kinds.get(metric, Topic(metric, "V", digits=6)) for metric in metrics)
    return MeterProfile(name, tuple(topics), interval_s, {"map": "nexus-1272", "ct_ratio": 1.0})


def reading(
    seconds: float,
    values: tuple[Value, ...] = (120.5, 7, "A1"),
    *,
    meter: str = METER,
    metrics: tuple[str, ...] = METRICS,
    gaps: dict[str, str] | None = None,
    scheduled: bool = True,
) -> MeterReading:
    """What a meter said so many seconds after noon."""
    at = tick(seconds)
    read_at = at + timedelta(milliseconds=20)
    return MeterReading(meter, at, read_at, metrics, values, gaps or {}, scheduled)


def open_new(path: Path, query: str = "") -> Engine:
    """An engine on a database at head."""
    engine = open_engine(f"sqlite:///{path}{query}")
    prepare(engine)
    return engine


@asynccontextmanager
async def recording(
    engine: Engine,
    *profiles: MeterProfile,
    now: datetime = NOON,
    ends: datetime | None = None,
    **settings: Any,
) -> AsyncIterator[Recorder]:
    """A recorder that runs for the length of a block; its clock stands at `ends` (or `now`)."""
    recorder = Recorder(engine, clock=lambda: ends or now, **settings)
    await recorder.start(profiles or (profile(),), now)
    try:
        yield recorder
    finally:
        await recorder.stop()


def rows(path: Path, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """What a plain SQLite connection of its own sees."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, parameters).fetchall()


def execute(path: Path, script: str) -> None:
    """Run statements by a plain SQLite connection of its own."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def plan_of(path: Path, sql: str) -> list[str]:
    """How SQLite would run a query, one line a step."""
    return [row[3] for row in rows(path, f"EXPLAIN QUERY PLAN {sql}")]


def store(
    engine: Engine,
    *readings: MeterReading,
    profiles: Sequence[MeterProfile] = (),
    now: datetime = NOON,
) -> StorageStatus:
    """A whole run of a recorder that ends after the last of these readings; its last status."""
    ends = max([now, *(reading.read_at for reading in readings)])

    async def run() -> StorageStatus:
        async with recording(engine, *profiles, now=now, ends=ends) as recorder:
            await recorder.write(readings)
            return recorder.status()

    return asyncio.run(run())


def drained(spool: Spool) -> list[Event]:
    """All that waits in a spool, which is empty then."""
    found: list[Event] = []
    while (head := spool.head(1)) is not None:
        found += head.events
        spool.remove(head)
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks and threads run until the condition holds; fails after a long time."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)
