"""A meter that joins a recorder which runs: its topics and schedule, and nobody else's."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.errors import ConfigError, StorageError
from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.storage.conservation import conservation
from emdc.storage.recorder import Recorder
from emdc.storage.spool.spool import Spool
from tests.storage.plant import METER, NOON, profile, reading, recording, rows, tick, until

LATE = "UW/roof/inverter"
GAPS = "SELECT meter_id, from_ts, to_ts, reason FROM gaps WHERE from_ts < to_ts"
VALUES = "SELECT topic_name, ts, value FROM samples WHERE topic_name LIKE 'UW/roof/%' ORDER BY 1, 2"


def unknown() -> MeterProfile:
    """A meter of which it is not known what it holds."""
    return MeterProfile(LATE, (), 1.0, {"map": "sunspec"})


def known(*metrics: str) -> MeterProfile:
    """The same when it is."""
    return profile(LATE, metrics or ("W", "freq"))


def power(seconds: float, *values: float, metrics: tuple[str, ...] = ("W", "freq")) -> MeterReading:
    return reading(seconds, values, meter=LATE, metrics=metrics)


def test_a_meter_without_topics_is_registered_and_gets_them_when_it_joins(
    engine: Engine, path: Path
) -> None:
    async def story() -> None:
        async with recording(engine, profile(), unknown(), ends=tick(4)) as recorder:
            await recorder.write([reading(0), reading(1)])
            await recorder.join(known(), tick(2))
            await recorder.write([power(2, 432.10000001, 50.0), reading(2), power(3, 1.5, 50.5)])
            await recorder.write([reading(3)])

    asyncio.run(story())
    found = rows(path, VALUES)
    assert [(name, value) for name, _, value in found] == [
        ("UW/roof/inverter/W", 432.1),  # rounded to its digits
        ("UW/roof/inverter/W", 1.5),
        ("UW/roof/inverter/freq", 50.0),
        ("UW/roof/inverter/freq", 50.5),
    ]
    assert rows(path, GAPS) == []
    counted = conservation(engine, until=tick(4))
    assert (counted.due, counted.holds) == (3 * 4 + 2 * 2, True)


def test_a_meter_that_joins_anew_with_other_topics_keeps_the_old_ones_places(
    engine: Engine, path: Path
) -> None:
    async def story() -> None:
        async with recording(engine, profile(), known(), ends=tick(4)) as recorder:
            await recorder.write([power(0, 1, 50), power(1, 2, 51), reading(0), reading(1)])
            await recorder.join(known("freq", "VA"), tick(2))
            metrics = ("freq", "VA")
            await recorder.write([power(2, 52, 7, metrics=metrics), reading(2)])
            await recorder.write([power(3, 53, 8, metrics=metrics), reading(3)])

    asyncio.run(story())
    found = [(name.rpartition("/")[2], value) for name, _, value in rows(path, VALUES)]
    assert found == [
        ("VA", 7), ("VA", 8), ("W", 1), ("W", 2),
        ("freq", 50), ("freq", 51), ("freq", 52), ("freq", 53),
    ]  # fmt: skip
    assert conservation(engine, until=tick(4)).holds


def test_joining_again_changes_nothing(engine: Engine, path: Path) -> None:
    async def story() -> None:
        async with recording(engine, profile(), unknown(), ends=tick(3)) as recorder:
            for _ in range(3):
                await recorder.join(known(), tick(1))
            await recorder.write([power(1, 1, 50), power(2, 1, 50)])

    asyncio.run(story())
    assert len(rows(path, "SELECT * FROM schedules WHERE slots <> '[]'")) == 2
    assert len(rows(path, "SELECT * FROM topics WHERE topic_name LIKE 'UW/roof/%'")) == 2


def test_a_topic_of_another_meter_cannot_be_claimed(engine: Engine) -> None:
    async def story() -> None:
        other = MeterProfile("UW/roof", (Topic("inverter/W"),), 1.0)
        async with recording(engine, other, unknown()) as recorder:
            with pytest.raises(ConfigError, match="already recorded for another meter"):
                await recorder.join(known(), NOON)

    asyncio.run(story())


def test_while_the_database_is_away_nobody_joins(tmp_path: Path, engine: Engine) -> None:
    spool = Spool(tmp_path / "spool", limit_bytes=1_000_000, clock=lambda: NOON)

    async def story() -> None:
        recorder = Recorder(engine, clock=lambda: NOON, spool=spool)
        await recorder.start([profile(), unknown()], NOON)
        try:
            recorder._tally.failed("no route to host")
            with pytest.raises(StorageError, match="no route to host"):
                await recorder.join(known(), NOON)
            await recorder.write([reading(0)])
        finally:
            await recorder.stop()

    asyncio.run(story())


def test_a_meter_that_joined_is_registered_whole_at_the_next_start(
    engine: Engine, path: Path
) -> None:
    async def story() -> None:
        async with recording(engine, unknown(), ends=tick(2)) as recorder:
            await recorder.join(known(), NOON)
            await recorder.write([power(0, 1, 50), power(1, 1, 50)])
        async with recording(engine, known(), now=tick(4), ends=tick(6)) as recorder:
            await recorder.write([power(4, 1, 50), power(5, 1, 50)])

    asyncio.run(story())
    ((_, begin, end, reason),) = rows(path, GAPS)
    assert (begin[17:19], end[17:19], reason) == ("02", "04", "daemon_stopped")
    assert conservation(engine, until=tick(6)).holds
    assert METER not in {name for (name,) in rows(path, "SELECT name FROM meters")}


def test_what_a_meter_that_joined_says_is_rounded_in_the_spool_too(
    tmp_path: Path, engine: Engine, path: Path
) -> None:
    spool = Spool(tmp_path / "spool", limit_bytes=1_000_000, clock=lambda: NOON)

    async def story() -> None:
        async with recording(
            engine, unknown(), ends=tick(2), spool=spool, retry_s=0.01
        ) as recorder:
            await recorder.join(known(), NOON)
            recorder._tally.failed("no route to host")
            await recorder.write([power(0, 432.10000001, 50.0)])
            await until(lambda: bool(rows(path, VALUES)))

    asyncio.run(story())
    assert rows(path, VALUES)[0][2] == 432.1
