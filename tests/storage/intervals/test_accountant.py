"""The thread that keeps quarter hours beside a recorder."""

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from sqlite3 import connect

import pytest
from sqlalchemy import Engine

from emdc.reading import MeterReading
from emdc.storage.database import open_engine
from emdc.storage.intervals import accountant
from emdc.storage.intervals.accountant import Accountant
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.migrate import prepare
from emdc.storage.recorder import Recorder
from emdc.storage.spool.spool import Spool
from tests.storage.filled import fill
from tests.storage.metering import clear, tables
from tests.storage.plant import NOON, execute, profile, reading, rows, tick, until

STARTS = "SELECT ts FROM interval_rows ORDER BY ts"
AWAY = "ALTER TABLE interval_rows RENAME TO away"
BACK = "ALTER TABLE away RENAME TO interval_rows"


class Clock:
    """What time it is after noon."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> datetime:
        return tick(self.seconds)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accountant, "_LOOK_S", 0.005)
    monkeypatch.setattr(accountant, "_APART_S", 0.001)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool.db", limit_bytes=1_000_000, clock=lambda: NOON)
    yield opened
    opened.close()


@asynccontextmanager
async def keeping(
    engine: Engine, clock: Clock, spool: Spool | None = None
) -> AsyncIterator[tuple[Recorder, Accountant]]:
    """A recorder of one meter, and who keeps its quarter hours."""
    recorder = Recorder(engine, clock=clock, spool=spool, retry_s=0.01)
    await recorder.start([profile()], NOON)
    keeper = Accountant(engine, recorder.delivery, [profile()], clock=clock)
    working = asyncio.create_task(keeper.run())
    try:
        yield recorder, keeper
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await recorder.stop()


def some(*seconds: float) -> list[MeterReading]:
    return [reading(at, (120.5, int(at), "A1")) for at in seconds]


async def made(keeper: Accountant, seconds: float) -> None:
    await until(lambda: keeper.status().made_until == tick(seconds))


def test_quarter_hours_are_made_as_they_end(engine: Engine, path: Path) -> None:
    async def story() -> None:
        clock = Clock(15)
        async with keeping(engine, clock) as (recorder, keeper):
            await recorder.write(some(0, 10, 899, 900, 901))
            await made(keeper, 0)
            clock.seconds = 915
            await made(keeper, 900)
            assert rows(path, STARTS) == [("2026-03-01 12:00:00.000000",)]
            clock.seconds = 1815
            await made(keeper, 1800)
            assert keeper.status().last_error is None

    asyncio.run(story())
    assert len(rows(path, STARTS)) == 2


def test_reading_that_comes_late_is_in_its_quarter_hour_with_the_next_one(engine: Engine) -> None:
    async def story() -> None:
        clock = Clock(915)
        async with keeping(engine, clock) as (recorder, keeper):
            await recorder.write(some(0, 10, 900))
            await until(lambda: keeper.status().made_until is not None)
            clock.seconds = 1815
            await made(keeper, 1800)
            await recorder.write(some(20))
            assert tables(engine)["interval_progress"][0][0] == "2026-03-01 12:00:00.000000"
            clock.seconds = 2715
            await made(keeper, 2700)

    asyncio.run(story())
    as_told = tables(engine)
    assert as_told["interval_rows"][0][1] == "[3,3]"
    clear(engine)
    Accounts(engine).advance(1, tick(2715))
    assert tables(engine) == as_told


def test_readings_that_waited_in_the_spool_are_in_their_quarter_hour(
    engine: Engine, path: Path, spool: Spool
) -> None:
    async def story() -> None:
        clock = Clock(5)
        async with keeping(engine, clock, spool) as (recorder, keeper):
            await recorder.write(some(0))
            with closing(connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await recorder.write(some(10))
                assert recorder.status().spooled == 1
                clock.seconds = 915
                other.execute("ROLLBACK")
            await made(keeper, 900)

    asyncio.run(story())
    assert tables(engine)["interval_rows"][0][1] == "[2,2]"


def test_failure_is_told_once_and_tried_again(
    engine: Engine, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        clock = Clock(0)
        async with keeping(engine, clock) as (recorder, keeper):
            await recorder.write(some(0, 900))
            await made(keeper, -900)
            execute(path, AWAY)
            for clock.seconds in (915, 1815):
                await until(lambda: keeper.status().waiting == 1)
                await until(lambda: "interval_rows" in (keeper.status().last_error or ""))
            await recorder.write(some(1800))
            assert recorder.status().ok
            execute(path, BACK)
            clock.seconds = 2715
            await made(keeper, 2700)
            assert keeper.status().last_error is None

    with caplog.at_level(logging.INFO, "emdc.storage.intervals.accountant"):
        asyncio.run(story())
    assert [record.message for record in caplog.records] == ["intervals wait", "intervals go on"]
    assert len(rows(path, STARTS)) == 3


def test_meters_that_nobody_reads_are_kept_too(engine: Engine) -> None:
    fill(engine, {"imported/meter/W": {0.0: 1.0, 60.0: 2.0}})

    async def story() -> None:
        async with keeping(engine, Clock(915)) as (_, keeper):
            await until(lambda: keeper.status().made_until is not None)

    asyncio.run(story())
    assert len(tables(engine)["interval_rows"]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="claims are Linux only")
def test_meters_that_another_process_records_are_its_affair(engine: Engine, path: Path) -> None:
    fill(engine, {"other/meter/W": {0.0: 1.0, 60.0: 2.0}})
    code = (
        "import sys\nfrom emdc.storage.claim import claimed\n"
        "from emdc.storage.database import open_engine\n"
        f"with claimed(open_engine('sqlite:///{path}'), ['other/meter']):\n"
        "    print(flush=True); sys.stdin.read()"
    )

    async def story() -> None:
        async with keeping(engine, Clock(915)) as (_, keeper):
            await until(lambda: keeper.status().made_until is not None)

    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        asyncio.run(story())
        holder.communicate()
    assert not tables(engine)["interval_rows"]


def test_meter_with_much_to_do_holds_up_no_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accountant, "_TURN_S", 0.0)
    days = {day * 86_400.0: 1.0 for day in range(-9, 0)}
    fill(engine, {"a/long/W": days, "b/long/W": days, "short/W": {0.0: 1.0}})
    turns: list[str] = []
    look_at = Accountant._look_at

    def noted(self: Accountant, name: str, meter_id: int) -> None:
        turns.append(name)
        look_at(self, name, meter_id)

    monkeypatch.setattr(Accountant, "_look_at", noted)

    async def story() -> None:
        async with keeping(engine, Clock(915)) as (_, keeper):
            await made(keeper, 900)
            assert keeper.status().waiting == 0

    asyncio.run(story())
    first = ["UW/Mercer/nexus_meter", "a/long", "b/long", "short"]
    assert turns[:4] == first
    # With no time at all each makes a day in its turn, and is not known to be done until the next.
    assert turns[4:9] == ["a/long", "b/long", "short", "a/long", "b/long"]
    # The day of the last reading is not over: more may come.
    assert len(tables(engine)["interval_days"]) == 2 * 8


def test_database_in_memory_is_kept_too() -> None:
    engine = open_engine("sqlite://")
    prepare(engine)

    async def story() -> None:
        clock = Clock(0)
        async with keeping(engine, clock) as (recorder, keeper):
            await recorder.write(some(0, 10))
            clock.seconds = 915
            await made(keeper, 900)

    asyncio.run(story())
    assert len(tables(engine)["interval_rows"]) == 1
    engine.dispose()


def test_it_ends_at_once(engine: Engine) -> None:
    async def story() -> Accountant:
        async with keeping(engine, Clock(915)) as (recorder, keeper):
            await recorder.write(some(0, 10))
        return keeper

    asyncio.run(story())
    assert "emdc-intervals" not in {thread.name for thread in threading.enumerate()}
