import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from emdc.errors import StorageError
from emdc.reading import Gap, MeterReading
from emdc.storage.conservation import conservation
from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare
from emdc.storage.recorder import Recorder
from tests.storage.plant import (
    METER,
    NOON,
    execute,
    open_new,
    profile,
    reading,
    recording,
    rows,
    store,
    tick,
    until,
)

ROOT = Path(__file__).parents[2]
READINGS = "SELECT ts, vals, gaps FROM readings ORDER BY ts"
GAPS = "SELECT from_ts, to_ts, reason FROM gaps WHERE from_ts < to_ts ORDER BY from_ts"


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the write lock until a line is written to it."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.readline()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        try:
            yield holder
        finally:
            holder.communicate("\n")


def test_every_kind_of_value_comes_back_exactly(engine: Engine, path: Path) -> None:
    kinds: list[tuple[float | int | str | None, ...]] = [
        (0.0, 0, ""),
        (-120.5, -7, "Ω ☃ \U0001f50c"),
        (1e300, 2**53, "line\nbreak\x00"),
        (5e-7, 2**64 - 1, "'; DROP TABLE readings;--"),
    ]
    status = store(engine, *(reading(at, values) for at, values in enumerate(kinds)))
    stored = [json.loads(vals) for _, vals, _ in rows(path, READINGS)]
    assert stored[:3] == [list(values) for values in kinds[:3]]
    assert stored[3] == [0.0, str(2**64 - 1), "'; DROP TABLE readings;--"]
    assert (status.stored, status.ok, status.in_memory) == (4, True, False)
    assert status.last_commit_at == tick(3.02)


def test_written_readings_are_visible_to_others_at_once(engine: Engine, path: Path) -> None:
    async def story() -> None:
        async with recording(engine) as recorder:
            for at in range(5):
                await recorder.write([reading(at)])
                assert len(rows(path, READINGS)) == at + 1

    asyncio.run(story())


def test_same_reading_again_changes_nothing(engine: Engine, path: Path) -> None:
    status = store(engine, reading(0), reading(0), reading(1))
    assert (status.stored, status.conflicts) == (2, 0)
    status = store(engine, reading(0), reading(1))
    assert (status.stored, status.conflicts, len(rows(path, READINGS))) == (0, 0, 2)


def test_other_values_for_a_stored_tick_are_counted_and_the_first_stays(
    engine: Engine, path: Path
) -> None:
    store(engine, reading(0, (1.0, 1, "A1")))
    status = store(engine, reading(0, (2.0, 2, "A1")), reading(1))
    assert (status.stored, status.conflicts) == (1, 1)
    assert rows(path, READINGS)[0][1] == '[1.0,1,"A1"]'


def test_manual_reading_never_takes_a_tick(engine: Engine, path: Path) -> None:
    store(engine, reading(3, scheduled=False), reading(3, (5.0, 5, "A1")))
    stored = [(ts, json.loads(vals)[0]) for ts, vals, _ in rows(path, READINGS)]
    assert stored == [("2026-03-01 12:00:03.000000", 5.0), ("2026-03-01 12:00:03.000001", 120.5)]


def test_manual_readings_of_one_instant_are_both_kept(engine: Engine, path: Path) -> None:
    first = reading(0.5, scheduled=False)
    other = reading(0.5, (1.0, 1, "B2"), scheduled=False)
    status = store(engine, first, other, first, other)
    assert (status.stored, status.conflicts) == (2, 0)
    assert [ts[-6:] for ts, _, _ in rows(path, READINGS)] == ["500000", "500001"]


def test_gaps_are_stored_once(engine: Engine, path: Path) -> None:
    gap = Gap(METER, tick(1), tick(3), "overrun")

    async def story() -> None:
        async with recording(engine) as recorder:
            await recorder.write_gaps([gap])
            await recorder.write_gaps([gap])

    asyncio.run(story())
    expected = ("2026-03-01 12:00:01.000000", "2026-03-01 12:00:03.000000", "overrun")
    assert rows(path, GAPS) == [expected]


def test_many_writers_share_commits(engine: Engine, path: Path) -> None:
    names = [f"site/meter{number}" for number in range(200)]

    async def story() -> None:
        async with recording(engine, *(profile(name) for name in names)) as recorder:
            writes = (recorder.write([reading(0, meter=name)]) for name in names)
            await asyncio.gather(*writes)
            assert recorder.status().stored == len(names)

    asyncio.run(story())
    assert len(rows(path, READINGS)) == len(names)


def test_locked_database_queues_and_then_stores(engine: Engine, path: Path) -> None:
    async def story() -> None:
        async with recording(engine, retry_s=0.01) as recorder:
            with locked_by_another_process(path):
                write = asyncio.create_task(recorder.write([reading(0), reading(1)]))
                await until(lambda: not recorder.status().ok)
                assert (recorder.status().queued, write.done()) == (2, False)
                assert recorder.status().last_error == "database is locked"
            await write
            status = recorder.status()
            assert (status.ok, status.queued, status.stored) == (True, 0, 2)

    asyncio.run(story())
    assert len(rows(path, READINGS)) == 2


def test_full_disk_queues_and_then_stores(engine: Engine, path: Path) -> None:
    pages = rows(path, "PRAGMA page_count")[0][0]
    room = {"pages": pages + 2}

    @event.listens_for(engine, "connect")
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={room['pages']}")

    engine.dispose()
    long = [reading(at, (1.0, at, "x" * 4000)) for at in range(20)]

    async def story() -> None:
        async with recording(engine, retry_s=0.01) as recorder:
            write = asyncio.create_task(recorder.write(long))
            await until(lambda: not recorder.status().ok)
            assert "full" in str(recorder.status().last_error)
            room["pages"] = 10_000
            await write
            assert recorder.status().ok

    asyncio.run(story())
    assert len(rows(path, READINGS)) == 20


def test_what_finds_no_room_becomes_a_gap(engine: Engine, path: Path) -> None:
    async def story() -> None:
        async with recording(engine, retry_s=0.01, limit=3) as recorder:
            with locked_by_another_process(path):
                kept = asyncio.create_task(recorder.write([reading(0), reading(1)]))
                await until(lambda: not recorder.status().ok)
                partly = asyncio.create_task(recorder.write([reading(2), reading(3)]))
                await until(lambda: recorder.status().queued == 3)
                for late in (4, 5):
                    with pytest.raises(StorageError, match=r"1 of 1 .*queue is full"):
                        await recorder.write([reading(late)])
            await kept
            with pytest.raises(StorageError, match="1 of 2 readings dropped"):
                await partly
            await recorder.write([reading(6)])
            assert recorder.status().dropped == 3

    asyncio.run(story())
    expected = ("2026-03-01 12:00:03.000000", "2026-03-01 12:00:05.000001", "queue_full")
    assert rows(path, GAPS) == [expected]
    found = conservation(engine, until=tick(7))
    assert (found.holds, found.values, found.gaps) == (True, 12, 9)


def test_reading_that_the_database_refuses_does_not_hold_up_the_rest(
    engine: Engine, path: Path
) -> None:
    execute(
        path,
        "CREATE TRIGGER no_thirteen BEFORE INSERT ON readings WHEN NEW.vals LIKE '[13.0%'"
        " BEGIN SELECT RAISE(ABORT, 'thirteen'); END",
    )

    async def story() -> None:
        async with recording(engine) as recorder:
            unlucky = reading(1, (13.0, 1, "A1"))
            with pytest.raises(StorageError, match="thirteen"):
                await recorder.write([reading(0), unlucky, reading(2)])
            status = recorder.status()
            assert (status.stored, status.dropped, status.ok) == (2, 1, True)

    asyncio.run(story())
    found = conservation(engine, until=tick(3))
    assert (found.holds, found.values, found.gaps) == (True, 6, 3)


@pytest.mark.parametrize(
    "strange",
    [reading(1, (1.0, 7, "\ud800")), reading(1, (1.0,)), reading(1, meter="somewhere/else")],
)
def test_reading_that_cannot_be_written_is_refused_alone(
    engine: Engine, strange: MeterReading
) -> None:
    async def story() -> None:
        async with recording(engine) as recorder:
            results = await asyncio.gather(
                recorder.write([reading(0)]),
                recorder.write([strange]),
                recorder.write([reading(2)]),
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [type(None), StorageError, type(None)]

    asyncio.run(story())


def test_memory_database_keeps_the_newest() -> None:
    engine = open_engine("sqlite:///:memory:")
    prepare(engine)

    async def story() -> None:
        async with recording(engine, memory_limit=10) as recorder:
            for at in range(0, 30, 5):
                await recorder.write([reading(at + step) for step in range(5)])
            status = recorder.status()
            assert (status.in_memory, status.stored, status.dropped) == (True, 30, 20)

    asyncio.run(story())
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT min(ts), count(*) FROM readings").one()
    assert tuple(found) == ("2026-03-01 12:00:20.000000", 10)
    engine.dispose()


def test_nothing_is_taken_before_start_and_after_stop(engine: Engine) -> None:
    async def story() -> None:
        recorder = Recorder(engine, clock=lambda: NOON)
        with pytest.raises(StorageError, match="not running"):
            await recorder.write([reading(0)])
        await recorder.stop()
        async with recording(engine) as recorder:
            pass
        with pytest.raises(StorageError, match="not running"):
            await recorder.write([reading(0)])

    asyncio.run(story())


def test_stop_writes_what_is_queued(engine: Engine, path: Path) -> None:
    async def story() -> None:
        async with recording(engine) as recorder:
            pending = [asyncio.create_task(recorder.write([reading(at)])) for at in range(50)]
            await asyncio.sleep(0)
        await asyncio.gather(*pending)

    asyncio.run(story())
    assert len(rows(path, READINGS)) == 50


def test_stop_gives_up_on_a_database_that_stays_away(engine: Engine, path: Path) -> None:
    async def story() -> None:
        recorder = Recorder(engine, clock=lambda: NOON, retry_s=0.01)
        await recorder.start([profile()], NOON)
        with locked_by_another_process(path):
            write = asyncio.create_task(recorder.write([reading(0)]))
            await until(lambda: not recorder.status().ok)
            await recorder.stop(timeout_s=0.1)
            with pytest.raises(StorageError, match="not written when the program stopped"):
                await write
        assert recorder.status().dropped == 1

    asyncio.run(story())


def test_killed_writer_loses_nothing_that_it_was_told_is_stored(path: Path) -> None:
    for run, acknowledged in enumerate((1, 7, 20)):
        first = 100_000 * run
        command = [sys.executable, "-m", "tests.storage.victim", str(path), str(first)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            durable = [int(victim.stdout.readline()) for _ in range(acknowledged)][-1]
            victim.kill()
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        since = "SELECT count(*) FROM readings WHERE ts >= ?"
        found = rows(path, since, str(tick(first))[:19])[0][0]
        assert found >= durable - first
        assert found % 5 == 0
    engine = open_new(path)
    store(engine, now=tick(300_000))
    assert conservation(engine, until=tick(300_000)).holds
    assert [reason for _, _, reason in rows(path, GAPS)] == ["daemon_killed"] * 3
    engine.dispose()
