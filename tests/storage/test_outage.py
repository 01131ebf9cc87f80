"""A recorder whose database server goes away: real servers that are killed, frozen and started."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from emdc.errors import SchemaError, StorageError
from emdc.storage.conservation import conservation
from emdc.storage.database import make_engine, open_engine
from emdc.storage.layout import MeterLayout
from emdc.storage.migrate import prepare
from emdc.storage.recorder import Recorder
from emdc.storage.registry import register
from emdc.storage.spool.spool import Spool
from emdc.storage.store import Store
from tests.servers import PrivateServer, fresh, private
from tests.storage.plant import METER, NOON, profile, reading, recording, store, tick, until

KINDS = ("postgresql", "mariadb")
COUNT = "SELECT count(*) FROM readings"


@pytest.fixture(scope="module", params=KINDS)
def shared(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    with private(request.param) as server:
        yield server


@pytest.fixture
def server(shared: PrivateServer) -> Iterator[PrivateServer]:
    """A server that runs, whatever the test before did to it."""
    yield shared
    shared.thaw()
    if not shared.runs:
        shared.start()


@pytest.fixture
def url(server: PrivateServer) -> Iterator[str]:
    with fresh(server.server) as address:
        yield address


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool.db", limit_bytes=50_000_000, clock=lambda: NOON)


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """An engine that asks nothing until it is used."""
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def select(url: str, sql: str) -> list[tuple[Any, ...]]:
    with engine_of(url) as engine, engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


async def drained(recorder: Recorder) -> None:
    await until(lambda: recorder.status().ok and recorder.status().spooled == 0)


def accounted(url: str, ticks: int) -> tuple[int, int, int, int]:
    with engine_of(url) as engine:
        found = conservation(engine, until=tick(ticks))
    assert found.holds, found
    return found.due, found.values, found.gaps, found.doubled


def test_killed_server_loses_nothing_and_gets_all_in_order(
    server: PrivateServer, url: str, spool: Spool
) -> None:
    async def story(engine: Engine) -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(30)) as recorder:
            for at in range(10):
                await recorder.write([reading(at)])
            assert recorder.status().spooled == 0
            server.kill()
            for at in range(10, 20):
                await recorder.write([reading(at)])
            status = recorder.status()
            assert (status.ok, status.spooled) == (False, 10)
            assert status.spool_since == NOON
            server.start()
            for at in range(20, 30):
                await recorder.write([reading(at)])
            await drained(recorder)
            status = recorder.status()
            assert (status.stored, status.conflicts, status.dropped) == (30, 0, 0)
            assert 10 <= status.replayed <= 30

    with engine_of(url) as engine:
        prepare(engine)
        asyncio.run(story(engine))
    assert accounted(url, 30) == (90, 90, 0, 0)


def test_server_that_is_down_at_the_start_gets_all_when_it_comes(
    server: PrivateServer, url: str, spool: Spool
) -> None:
    server.kill()

    async def story(engine: Engine) -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(5)) as recorder:
            for at in range(5):
                await recorder.write([reading(at)])
            assert recorder.status().spooled == 5
            assert recorder.status().last_error
            server.start()
            await drained(recorder)

    with engine_of(url) as engine:
        asyncio.run(story(engine))
    assert accounted(url, 5) == (15, 15, 0, 0)


def test_start_without_a_schedule_is_well_when_the_server_comes_before_any_reading(
    server: PrivateServer, url: str, spool: Spool
) -> None:
    server.kill()

    async def story(engine: Engine) -> None:
        recorder = Recorder(engine, clock=lambda: NOON, spool=spool, retry_s=0.05)
        await recorder.start((profile(),), NOON, scheduled=False)
        try:
            assert (recorder.status().ok, recorder.status().spooled) == (False, 0)
            server.start()
            await drained(recorder)
            assert recorder.status().last_commit_at == NOON
        finally:
            await recorder.stop()

    with engine_of(url) as engine:
        asyncio.run(story(engine))


def test_what_waits_at_the_end_of_a_run_comes_with_the_next(
    server: PrivateServer, url: str, spool: Spool
) -> None:
    async def run(engine: Engine, *ticks: int, now: int, ends: int) -> None:
        begins, stops = tick(now), tick(ends)
        async with recording(engine, spool=spool, now=begins, ends=stops, retry_s=0.05) as recorder:
            for at in ticks:
                await recorder.write([reading(at)])
            if now == 20:
                await drained(recorder)

    with engine_of(url) as engine:
        prepare(engine)
        asyncio.run(run(engine, 0, 1, 2, now=0, ends=3))
        server.kill()
        engine.dispose()
        asyncio.run(run(engine, 10, 11, now=10, ends=12))
        server.start()
        asyncio.run(run(engine, 20, 21, now=20, ends=22))
    # Between the runs, which all ended well, are eight and eight ticks.
    assert accounted(url, 22) == (66, 21, 45, 0)
    stopped = "SELECT count(*) FROM gaps WHERE reason = 'daemon_stopped' AND from_ts < to_ts"
    assert select(url, stopped) == [(2,)]


def test_frozen_server_holds_up_no_writer(server: PrivateServer, url: str, spool: Spool) -> None:
    async def story(engine: Engine) -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(20)) as recorder:
            await recorder.write([reading(0)])
            server.freeze()
            loop = asyncio.get_running_loop()
            begun = loop.time()
            for at in range(1, 20):
                await recorder.write([reading(at)])
            assert loop.time() - begun < 20
            assert recorder.status().spooled == 19
            server.thaw()
            await drained(recorder)

    with engine_of(url) as engine:
        prepare(engine)
        asyncio.run(story(engine))
    assert accounted(url, 20) == (60, 60, 0, 0)


def test_lost_answer_of_a_commit_doubles_nothing(
    server: PrivateServer, url: str, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(engine: Engine) -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(3)) as recorder:
            await recorder.write([reading(0)])
            told: list[str] = []
            real = engine.dialect.do_commit

            def commit(connection: Any) -> None:
                real(connection)
                if not told:
                    told.append("lost")
                    # What a driver says when the connection ends before the answer comes.
                    raise engine.dialect.loaded_dbapi.OperationalError("connection lost")

            monkeypatch.setattr(engine.dialect, "do_commit", commit)
            await recorder.write([reading(1)])
            await recorder.write([reading(2)])
            await drained(recorder)
            assert told
            # The one whose answer was lost is there, and nobody can know who stored it.
            assert (recorder.status().stored, recorder.status().conflicts) == (2, 0)

    with engine_of(url) as engine:
        prepare(engine)
        asyncio.run(story(engine))
    assert accounted(url, 3) == (9, 9, 0, 0)


def test_start_waits_for_a_commit_of_a_killed_run_that_is_under_way(
    server: PrivateServer, url: str, spool: Spool
) -> None:
    if not url.startswith("postgresql"):
        return  # there a commit waits for nobody

    def under_way() -> int:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        return int(select(url, waiting)[0][0])

    def standby(name: str) -> None:
        set_name = f"ALTER SYSTEM SET synchronous_standby_names = '{name}'"
        server.server.execute(set_name, "SELECT pg_reload_conf()", database="postgres")

    async def story(engine: Engine, layouts: dict[str, MeterLayout]) -> None:
        # Stands for the server's process of a collector that was killed while it committed.
        killed = Store(engine, layouts, memory_limit=0)
        standby("nobody")
        commit = asyncio.create_task(asyncio.to_thread(killed.commit, [reading(0)]))
        await until(lambda: under_way() == 1)
        next_run = Recorder(engine, clock=lambda: tick(3), spool=spool)
        start = asyncio.create_task(next_run.start([profile()], tick(3)))
        await asyncio.wait([start], timeout=1)
        standby("")
        await commit
        await start
        await drained(next_run)
        await next_run.stop()
        killed.close()

    with engine_of(url) as engine:
        prepare(engine)
        with engine.begin() as connection:
            layouts = register(connection, [profile()], NOON)
        asyncio.run(story(engine, layouts))
    assert accounted(url, 3) == (9, 3, 6, 0)


def test_row_that_is_always_refused_is_set_aside_and_the_rest_flows(
    server: PrivateServer, url: str, spool: Spool
) -> None:
    async def story(engine: Engine) -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(4)) as recorder:
            server.kill()
            poison = (float(1), 7, "x" * 20_000_000) if is_mariadb else (1.0, 7, "nul \x00")
            writes = [reading(0), reading(1, poison), reading(2), reading(3)]
            for one in writes:
                await recorder.write([one])
            server.start()
            await drained(recorder)
            status = recorder.status()
            assert (status.stored, status.refused, status.dropped) == (3, 1, 0)

    is_mariadb = url.startswith("mysql")
    with engine_of(url) as engine:
        prepare(engine)
        asyncio.run(story(engine))
    assert accounted(url, 4) == (12, 9, 3, 0)
    spool.open()
    assert spool.status().aside == 1
    spool.close()


def test_full_spool_becomes_gaps(server: PrivateServer, url: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "small.db", limit_bytes=20_000, clock=lambda: NOON)

    async def story(engine: Engine) -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(600)) as recorder:
            server.kill()
            for at in range(600):
                await recorder.write([reading(at, (120.5 + at, at, f"A{at}"))])
            assert recorder.status().overflowed > 0
            server.start()
            await drained(recorder)

    with engine_of(url) as engine:
        prepare(engine)
        asyncio.run(story(engine))
    due, values, gaps, doubled = accounted(url, 600)
    assert (due, doubled) == (1800, 0)
    assert values > 0
    assert gaps > 0
    assert set(select(url, "SELECT reason FROM gaps WHERE from_ts < to_ts")) == {
        ("spool_overflow",)
    }


def test_wrong_password_waits_and_is_told_without_it(url: str, spool: Spool) -> None:
    wrong = (
        url.replace("://", "://nobody_here:hunter2@", 1)
        .replace("@postgres@", "@")
        .replace("@root@", "@")
    )

    async def story(engine: Engine) -> None:
        async with recording(engine, spool=spool, retry_s=0.05) as recorder:
            await recorder.write([reading(0)])
            status = recorder.status()
            assert (status.ok, status.spooled) == (False, 1)
            assert "hunter2" not in str(replace(status))

    with engine_of(wrong) as engine:
        asyncio.run(story(engine))


def test_database_of_another_version_ends_the_start(url: str, spool: Spool) -> None:
    with engine_of(url) as engine:
        prepare(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'ffffffffffff'")

        async def story() -> None:
            recorder = Recorder(engine, clock=lambda: NOON, spool=spool)
            with pytest.raises(SchemaError, match="made by a newer one"):
                await recorder.start([profile()], NOON)
            await recorder.stop()

        asyncio.run(story())


def test_database_that_refuses_everything_is_waited_for(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/emdc.db")
    prepare(engine)
    spool = Spool(tmp_path / "emdc.db-spool", limit_bytes=1_000_000, clock=lambda: NOON)
    forbid = (
        "CREATE TRIGGER closed BEFORE INSERT ON readings BEGIN SELECT RAISE(ABORT, 'closed'); END"
    )

    def change(sql: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(sql)

    async def story() -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(20)) as recorder:
            change(forbid)
            await recorder.write([reading(at) for at in range(20)])
            await until(lambda: not recorder.status().ok)
            status = recorder.status()
            assert (status.spooled, status.refused, status.last_error) == (20, 0, "closed")
            change("DROP TRIGGER closed")
            await drained(recorder)
            assert recorder.status().stored == 20

    asyncio.run(story())
    assert conservation(engine, until=tick(20)).values == 60
    engine.dispose()


def test_locked_sqlite_file_is_waited_for_in_the_spool(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/emdc.db?timeout=0.1")
    prepare(engine)
    spool = Spool(tmp_path / "emdc.db-spool", limit_bytes=1_000_000, clock=lambda: NOON)

    async def story() -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(3)) as recorder:
            await recorder.write([reading(0)])
            assert not spool.path.exists()
            with engine.connect() as other:
                raw: Any = other.connection
                raw.execute("COMMIT") if raw.in_transaction else None
                raw.execute("BEGIN IMMEDIATE")
                await recorder.write([reading(1)])
                await recorder.write([reading(2)])
                assert recorder.status().spooled == 2
                raw.execute("ROLLBACK")
            await drained(recorder)

    asyncio.run(story())
    assert conservation(engine, until=tick(3)).values == 9
    engine.dispose()


def test_spool_that_takes_nothing_keeps_readings_in_memory(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/emdc.db?timeout=0.1")
    prepare(engine)
    (tmp_path / "folder").write_text("a file where a folder belongs")
    spool = Spool(tmp_path / "folder" / "spool.db", limit_bytes=1_000_000, clock=lambda: NOON)

    async def story() -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(2)) as recorder:
            await recorder.write([reading(0)])
            with engine.connect() as other:
                raw: Any = other.connection
                raw.execute("COMMIT") if raw.in_transaction else None
                raw.execute("BEGIN IMMEDIATE")
                waiting = asyncio.create_task(recorder.write([reading(1)]))
                await until(lambda: not recorder.status().ok)
                assert (recorder.status().queued, waiting.done()) == (1, False)
                raw.execute("ROLLBACK")
            await waiting

    asyncio.run(story())
    assert conservation(engine, until=tick(2)).values == 6
    engine.dispose()


def test_second_user_of_a_spool_is_refused(spool: Spool) -> None:
    spool.open()
    other = Spool(spool.path, limit_bytes=1000, clock=lambda: NOON)
    with pytest.raises(StorageError, match=str(spool.path)):
        other.open()
    spool.close()


def test_manual_reading_from_the_spool_is_stored_once(
    server: PrivateServer, url: str, spool: Spool
) -> None:
    async def story(engine: Engine) -> None:
        async with recording(engine, spool=spool, retry_s=0.05, ends=tick(2)) as recorder:
            server.kill()
            await recorder.write([reading(0), reading(0.5, scheduled=False)])
            await recorder.write([reading(1, scheduled=False, meter=METER), reading(1)])
            server.start()
            await drained(recorder)

    with engine_of(url) as engine:
        prepare(engine)
        asyncio.run(story(engine))
        assert select(url, COUNT) == [(4,)]
        assert store(engine, now=tick(2)).conflicts == 0
    assert accounted(url, 2)[:3] == (6, 6, 0)
