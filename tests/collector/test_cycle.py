import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from emdc.collector.cycle import Collector, CycleReport
from emdc.errors import BusyError, StorageError
from emdc.meters.meter import MeterSettings
from emdc.reading import Gap
from tests import misbehaving
from tests.collector.plant import DOWN, NAMES, Plant, plant
from tests.misbehaving import Connection, good
from tests.virtual_time import run

NEVER = float("inf")
NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)


async def slow(connection: Connection) -> None:
    while True:
        request = await connection.request()
        await asyncio.sleep(1)
        await connection.send(misbehaving.right(request))


async def settled(works: Plant) -> None:
    subject = works.collector
    while subject._polling or subject._outbox or subject._lost or subject._tasks:
        await asyncio.sleep(0.05)


def start(works: Plant, place: int = 0) -> bool:
    return works.collector.start_tick(works.meters[place], NAMES, works.clock(), NEVER)


def test_a_reading_goes_to_the_sink_when_its_meter_is_done_whoever_is_mute() -> None:
    async def check() -> None:
        async with plant(Connection.silent, good, good) as works:
            for place in range(3):
                assert start(works, place)
            await works.store.arrived.wait()
            await asyncio.sleep(0.5)
            assert {r.meter for r in works.store.readings} == {"site/1", "site/2"}
            await settled(works)
            (mute,) = [r for r in works.store.readings if r.meter == "site/0"]
            assert set(mute.gaps.values()) == {"read_timeout"}

    run(check())


def test_a_tick_that_finds_its_meter_at_work_is_refused() -> None:
    async def check() -> None:
        async with plant(slow) as works:
            assert start(works)
            assert not start(works)
            await settled(works)
            assert start(works)
            await settled(works)
            assert len(works.store.readings) == 2
            assert len(works.peers[0].requests) == 4

    run(check())


def test_a_start_that_fails_leaves_the_meter_free(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with plant(good) as works:
            with monkeypatch.context() as patch:
                patch.setattr(works.meters[0], "start", None)
                with pytest.raises(TypeError):
                    start(works)
            assert start(works)
            await settled(works)

    run(check())


@pytest.mark.parametrize("failure", [DOWN, RuntimeError("a fault of a sink")])
def test_a_failing_sink_ends_nothing(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with plant(good) as works:
            works.store.failure = failure
            start(works)
            await settled(works)
            works.collector.lose([Gap("site/0", NOON, NOON, "overrun")])
            await settled(works)
            works.store.failure = None
            start(works)
            await settled(works)
            assert len(works.store.readings) == 1

    with caplog.at_level(logging.WARNING):
        run(check())
    assert [r.getMessage() for r in caplog.records] == ["readings lost", "gaps not recorded"]


def test_a_slow_sink_delays_no_reading() -> None:
    async def check() -> None:
        async with plant(good) as works:
            works.store.open.clear()
            for _ in range(3):
                assert start(works)
                while works.collector._polling:
                    await asyncio.sleep(0.05)
            assert works.store.readings == []
            works.store.open.set()
            await settled(works)
            assert works.store.batches == [1, 1, 1]

    run(check())


def test_gaps_of_later_ticks_wait_for_the_reading_under_way() -> None:
    async def check() -> None:
        async with plant(slow) as works:
            start(works)
            works.collector.lose([Gap("site/0", NOON, NOON, "overrun")])
            await asyncio.sleep(0.5)
            assert works.store.gaps == []
            await settled(works)
            assert [gap.reason for gap in works.store.gaps] == ["overrun"]
            assert len(works.store.readings) == 1

    run(check())


def test_what_is_still_read_at_the_end_becomes_a_gap_in_front_of_later_ones() -> None:
    async def check() -> None:
        async with plant(Connection.silent) as works:
            tick = works.clock()
            assert works.collector.start_tick(works.meters[0], NAMES, tick, NEVER)
            later = Gap("site/0", NOON + timedelta(hours=1), NOON + timedelta(hours=2), "overrun")
            works.collector.lose([later])
            await works.collector.stop(within_s=0.5)
            first, second = works.store.gaps
            assert (first.from_ts, first.reason) == (tick, "daemon_stopped")
            assert first.to_ts - first.from_ts == timedelta(microseconds=1)
            assert second == later
            await asyncio.sleep(5)
            assert works.store.readings == []

    run(check())


def test_a_database_that_takes_nothing_is_an_error_for_who_asks_not_a_hanging_answer() -> None:
    async def check() -> None:
        async with plant(good) as works:
            works.store.open.clear()
            with pytest.raises(StorageError, match="waits to be stored"):
                await works.collector.read_now("site/0", "W")
            with pytest.raises(StorageError, match="waits to be stored"):
                await works.collector.collect(1, 0)
            works.store.open.set()
            await settled(works)
            assert len(works.store.readings) == 2

    run(check())


def test_stopping_waits_for_readings_under_way_and_hands_them_over() -> None:
    async def check() -> None:
        async with plant(slow, Connection.silent) as works:
            start(works, 0)
            start(works, 1)
            await works.collector.stop(within_s=2.5)
            assert [r.meter for r in works.store.readings] == ["site/0"]

    run(check())


def test_a_cycle_that_was_asked_for_reports_what_it_gave() -> None:
    async def check() -> list[CycleReport]:
        async with plant(good, Connection.silent) as works:
            reports = await works.collector.collect(2, 10)
            assert len(works.store.readings) == 4
            assert not any(r.scheduled for r in works.store.readings)
            return reports

    reports = run(check())
    for report in reports:
        assert (report.meters, report.failed, report.values) == (2, ("site/1",), 3)
        assert report.gaps == {"read_timeout": 3}
        assert report.duration_s == pytest.approx(3, abs=0.3)
    assert (reports[1].started - reports[0].started).total_seconds() == pytest.approx(13, abs=0.3)


def test_one_collection_runs_one_waits_and_a_third_is_told_to_come_later() -> None:
    async def check() -> None:
        async with plant(slow) as works:
            first, second = (asyncio.ensure_future(works.collector.collect(2, 0)) for _ in range(2))
            await asyncio.sleep(0.5)
            with pytest.raises(BusyError):
                await works.collector.collect(1, 0)
            assert len(await first) == 2
            third = asyncio.ensure_future(works.collector.collect(1, 0))
            assert len(await second) == 2
            assert len(await third) == 1
            # Ten requests, one after the other: a reading of this meter has two.
            assert len(works.peers[0].requests) == 10
            started = [r.tick for r in works.store.readings]
            assert started == sorted(set(started))

    run(check())


def test_a_collection_whose_caller_goes_makes_room_for_the_next() -> None:
    async def check() -> None:
        async with plant(slow) as works:
            running, waiting = (
                asyncio.ensure_future(works.collector.collect(100, 0)) for _ in range(2)
            )
            await asyncio.sleep(0.5)
            waiting.cancel()
            await asyncio.sleep(0)
            other = asyncio.ensure_future(works.collector.collect(1, 0))
            await asyncio.sleep(0)
            running.cancel()
            assert len(await other) == 1

    run(check())


def test_a_meter_is_never_asked_twice_at_once_by_schedule_and_by_hand() -> None:
    outstanding = most = 0

    async def counting(connection: Connection) -> None:
        nonlocal outstanding, most
        while True:
            request = await connection.request()
            outstanding += 1
            most = max(most, outstanding)
            await asyncio.sleep(0.1)
            outstanding -= 1
            await connection.send(misbehaving.right(request))

    async def check() -> None:
        async with plant(counting) as works:
            start(works)
            await asyncio.gather(
                works.collector.collect(3, 0),
                works.collector.read_now("site/0", "W"),
                works.collector.read_now("site/0", "freq"),
            )
            await settled(works)
            assert len(works.store.readings) == 6
            assert works.peers[0].most_open == 1

    run(check())
    assert most == 1


def test_a_collection_that_cannot_be_stored_says_so() -> None:
    async def check() -> None:
        async with plant(good) as works:
            works.store.failure = DOWN
            with pytest.raises(StorageError, match="the database is away"):
                await works.collector.collect(5, 0)
            works.store.failure = None
            assert len(await works.collector.collect(1, 0)) == 1

    run(check())


def test_callers_that_ask_for_the_same_metric_share_one_reading() -> None:
    async def check() -> None:
        async with plant(slow) as works:
            one = [works.collector.read_now("site/0", "W") for _ in range(5)]
            found = await asyncio.gather(*one, works.collector.read_now("site/0", "freq"))
            assert all(reading is found[0] for reading in found[:5])
            assert found[0].metrics == ("W",)
            assert found[5].metrics == ("freq",)
            assert len(works.peers[0].requests) == len(works.store.readings) == 2
            await works.collector.read_now("site/0", "W")
            assert len(works.peers[0].requests) == 3

    run(check())


def test_a_shared_reading_outlives_the_caller_that_started_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check(*, fails: bool) -> None:
        async with plant(slow) as works:
            works.store.failure = DOWN if fails else None
            first = asyncio.ensure_future(works.collector.read_now("site/0", "W"))
            await asyncio.sleep(0.1)
            others = [works.collector.read_now("site/0", "W")] if not fails else []
            waiting = [asyncio.ensure_future(other) for other in others]
            await asyncio.sleep(0.1)
            first.cancel()
            for other in waiting:
                assert (await other).gaps == {}
            await asyncio.sleep(2)
            assert works.collector._reading == {}

    run(check(fails=False))
    run(check(fails=True))
    assert caplog.records == []


def test_an_empty_site_has_empty_cycles() -> None:
    async def check() -> None:
        async with plant(settings=MeterSettings()) as works:
            (report,) = await works.collector.collect(1, 0)
            assert (report.meters, report.values, report.failed) == (0, 0, ())
            assert isinstance(works.collector, Collector)

    run(check())
