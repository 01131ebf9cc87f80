import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from emdc.collector.ticker import Ticker, intervals_us, tickers
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.reading import Gap, MeterProfile, Topic
from tests import misbehaving
from tests.collector.plant import DOWN, MAP, Plant, plant
from tests.misbehaving import Connection, good
from tests.virtual_time import run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def second(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@asynccontextmanager
async def ticking(works: Plant, begin: datetime = NOON) -> AsyncIterator[Ticker]:
    """The one ticker of a plant, running."""
    (subject,) = tickers(works.meters, works.collector, begin, clock=works.clock)
    task = asyncio.ensure_future(subject.run())
    try:
        yield subject
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def answering_after(seconds: float) -> misbehaving.Script:
    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            await asyncio.sleep(seconds)
            await connection.send(misbehaving.right(request))

    return script


def test_a_metric_without_an_interval_has_the_meters() -> None:
    topics = (Topic("W"), Topic("Wh", interval_s=60), Topic("VA"), Topic("f", interval_s=0.5))
    assert intervals_us(MeterProfile("m", topics, interval_s=1)) == {
        1_000_000: {"W", "VA"},
        60_000_000: {"Wh"},
        500_000: {"f"},
    }
    assert intervals_us(MeterProfile("m", topics)) == {}


def test_meters_with_the_same_intervals_share_a_ticker() -> None:
    async def check() -> None:
        async with plant(good, good) as works:
            assert len(tickers(works.meters, works.collector, NOON, clock=works.clock)) == 1
        async with plant(good, settings=MeterSettings()) as works:
            assert tickers(works.meters, works.collector, NOON, clock=works.clock) == []

    run(check())


def test_slots_are_aligned_to_the_wall_clock_and_each_interval_gets_its_metrics() -> None:
    async def check() -> None:
        async with plant(good) as works:
            works.clock.step(3.4)
            async with ticking(works, works.clock()) as subject:
                await asyncio.sleep(125)
                assert works.store.ticks("site/0") == [
                    second(s).timestamp() for s in range(10, 130, 10)
                ]
                by_tick = {r.tick: set(r.metrics) for r in works.store.readings}
                assert by_tick[second(50)] == {"W", "freq"}
                assert by_tick[second(60)] == {"W", "freq", "Wh"}
                assert subject.last_tick == second(120)
                assert works.store.gaps == []

    run(check())


def test_metrics_of_several_intervals_that_are_due_together_share_one_read() -> None:
    beside = RegisterMap(
        "beside",
        (
            Metric("W", 10, 2, DataType.UINT32),
            Metric("Wh", 12, 2, DataType.UINT32, interval_s=60),
            Metric("varh", 14, 2, DataType.UINT32, interval_s=30),
        ),
    )

    async def check() -> None:
        async with plant(good, register_map=beside) as works:
            async with ticking(works):
                await asyncio.sleep(65)
            counts = [request[11] for request in works.peers[0].requests]
            # W and varh, with an unused place between them, are two reads at second 30.
            assert counts == [6, 2, 2, 2, 2, 2, 2, 6]

    run(check())


@pytest.mark.parametrize(("script", "kept"), [(good, [{"Serial"}]), (Connection.silent, [])])
def test_what_comes_round_seldom_is_read_behind_the_first_tick_if_the_meter_answers(
    script: misbehaving.Script, kept: list[set[str]]
) -> None:
    seldom = RegisterMap(
        "seldom",
        (
            Metric("W", 10, 2, DataType.UINT32),
            Metric("Serial", 40, 1, DataType.UINT16, interval_s=3600),
        ),
    )

    async def check() -> None:
        async with plant(script, register_map=seldom) as works:
            works.clock.step(1)
            async with ticking(works, works.clock()):
                await asyncio.sleep(25)
            found = [r for r in works.store.readings if not r.scheduled]
            assert [set(r.metrics) for r in found] == kept
            assert {r.tick for r in found} <= {second(10)}
            works.owed("site/0", "Serial", second(1), second(20))

    run(check())


def test_a_meter_that_is_not_done_loses_the_next_tick_and_no_other() -> None:
    async def check() -> None:
        async with plant(answering_after(0.1), answering_after(12)) as works:
            for meter in works.meters:
                object.__setattr__(meter.settings, "timeout_s", 14.0)
            async with ticking(works):
                await asyncio.sleep(119)
            assert len(works.store.ticks("site/0")) == 12
            assert {g.meter for g in works.store.gaps} == {"site/1"}
            assert {g.reason for g in works.store.gaps} == {"overrun"}
            assert Gap("site/1", second(10), second(20), "overrun") in works.store.gaps
            works.owed("site/1", "W", NOON, second(100))

    run(check())


def test_a_dead_meter_delays_nobody_and_every_slot_is_accounted_for() -> None:
    async def check() -> None:
        async with plant(good, Connection.silent, good) as works:
            async with ticking(works):
                await asyncio.sleep(305)
            await works.collector.stop(within_s=10)
            for index in range(3):
                for metric in ("W", "Wh"):
                    works.owed(f"site/{index}", metric, NOON, second(300))
            late = [r.read_at - r.tick for r in works.store.readings if r.meter != "site/1"]
            assert max(late) < timedelta(seconds=0.5)
            reasons = {
                reason
                for r in works.store.readings
                if r.meter == "site/1"
                for reason in r.gaps.values()
            }
            assert reasons == {"read_timeout"}

    run(check())


def test_ticks_that_were_owed_before_the_start_are_gaps() -> None:
    async def check() -> None:
        async with plant(good) as works:
            async with ticking(works, NOON - timedelta(seconds=95)):
                await asyncio.sleep(25)
            assert [(g.from_ts, g.to_ts) for g in works.store.gaps] == [(second(-90), second(0))]
            assert works.store.ticks("site/0")[0] == NOON.timestamp()

    run(check())


def test_a_step_forward_is_one_gap_and_no_burst() -> None:
    async def check() -> None:
        async with plant(good) as works, ticking(works):
            await asyncio.sleep(23)
            before = len(works.peers[0].requests)
            works.clock.step(3 * 3600 + 1)
            await asyncio.sleep(12)
            assert len(works.peers[0].requests) - before <= 3
            (gap,) = works.store.gaps
            assert gap.reason == "clock_step"
            assert (gap.from_ts, gap.to_ts) == (second(30), second(3 * 3600 + 30))
            works.owed("site/0", "W", NOON, second(3 * 3600 + 30))

    run(check())


def test_a_step_back_repeats_no_slot_says_so_and_goes_on_by_itself() -> None:
    async def check() -> None:
        async with plant(good) as works, ticking(works):
            await asyncio.sleep(25)
            works.clock.step(-300)
            await asyncio.sleep(100)
            assert works.collector.clock_back
            assert len(works.store.ticks("site/0")) == 3
            await asyncio.sleep(300)
            assert not works.collector.clock_back
            ticks = works.store.ticks("site/0")
            assert ticks == sorted(set(ticks))
            assert len(ticks) > 10
            assert works.store.gaps == []

    run(check())


def test_whatever_the_clock_does_every_slot_has_one_reading_or_one_gap() -> None:
    async def check(seed: int) -> None:
        random_ = random.Random(seed)
        async with plant(good) as works:
            async with ticking(works) as subject:
                for _ in range(12):
                    works.clock.step(random_.choice([0, 1, -1, 7, -7, 40, -40, 3600.5, -600]))
                    await asyncio.sleep(random_.uniform(0, 40))
                await asyncio.sleep(5000 if works.collector.clock_back else 30)
            assert subject.last_tick is not None
            works.owed("site/0", "W", NOON, subject.last_tick)

    for seed in range(3):
        run(check(seed), settle_s=0.0)


def test_a_loop_that_was_held_up_runs_no_tick_long_after_its_slot() -> None:
    async def check() -> None:
        async with plant(good) as works:
            async with ticking(works):
                await asyncio.sleep(5)
                asyncio.get_running_loop()._clockwork.now += 47  # type: ignore[attr-defined]
                await asyncio.sleep(20)
            (gap,) = works.store.gaps
            assert (gap.from_ts, gap.to_ts, gap.reason) == (second(10), second(50), "overrun")
            assert all(r.read_at - r.tick < timedelta(seconds=5) for r in works.store.readings)
            works.owed("site/0", "W", NOON, second(70))

    run(check())


@pytest.mark.parametrize("failure", [DOWN, RuntimeError("a fault of a sink")])
def test_a_sink_that_fails_stops_no_ticks(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with plant(good) as works:
            works.store.failure = failure
            async with ticking(works, NOON - timedelta(seconds=50)):
                await asyncio.sleep(25)
                works.store.failure = None
                await asyncio.sleep(20)
            assert works.store.ticks("site/0") == [second(s).timestamp() for s in (30, 40)]

    with caplog.at_level(logging.ERROR):
        run(check())


def test_run_again_it_goes_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with plant(good) as works:
            (subject,) = tickers(works.meters, works.collector, NOON, clock=works.clock)
            with monkeypatch.context() as patch:
                patch.setattr(works.collector, "lose", None)
                works.clock.step(96)
                with pytest.raises(TypeError):
                    await subject.run()
            task = asyncio.ensure_future(subject.run())
            await asyncio.sleep(2)  # the gap is recorded, nothing is read yet
            task.cancel()
            task = asyncio.ensure_future(subject.run())
            await asyncio.sleep(58)
            task.cancel()
            ticks = works.store.ticks("site/0")
            assert ticks == [second(s).timestamp() for s in range(100, 160, 10)]
            assert [(g.from_ts, g.to_ts) for g in works.store.gaps] == [(NOON, second(100))]

    run(check())


def test_a_meter_that_is_dropped_is_read_no_more_and_the_others_are_read_as_before() -> None:
    async def check() -> None:
        async with plant(good, good) as works:
            first, second_meter = works.meters
            # Same intervals, and other names for them.
            other = replace(MAP, metrics=tuple(replace(m, name=f"{m.name}_2") for m in MAP.metrics))
            settings = MeterSettings(interval_s=10, timeout_s=3, retries=0)
            renamed = Meter("site/1", other, second_meter.link, settings, clock=works.clock)
            works.meters[1] = renamed
            works.collector.join(renamed)
            async with ticking(works) as subject:
                await asyncio.sleep(25)
                subject.drop(first.name, works.clock())
                await asyncio.sleep(20)
            ticks = works.store.ticks
            assert ticks("site/0") == [second(s).timestamp() for s in (0, 10, 20)]
            assert ticks("site/1") == [second(s).timestamp() for s in (0, 10, 20, 30, 40)]
            found = [r for r in works.store.readings if r.meter == "site/1"]
            assert {name for r in found for name in r.metrics} == {"W_2", "freq_2", "Wh_2"}
            assert not any(r.gaps for r in found)

    run(check())


def test_a_meter_that_takes_the_place_of_another_is_read_in_its_ticks() -> None:
    async def check() -> None:
        async with plant(good) as works:
            (old,) = works.meters
            moved = replace(
                MAP, metrics=tuple(replace(m, address=m.address + 1) for m in MAP.metrics)
            )
            new = Meter(old.name, moved, old.link, old.settings, clock=works.clock)
            async with ticking(works) as subject:
                await asyncio.sleep(15)
                works.collector.join(new)
                subject.replace(new)
                await asyncio.sleep(10)
            assert works.store.ticks("site/0") == [second(s).timestamp() for s in (0, 10, 20)]
            addresses = [request[9] for request in works.peers[0].requests]
            assert addresses[-1] == addresses[-2] + 1

    run(check())


def test_ticks_before_the_end_of_a_meter_that_is_dropped_are_read_or_lost() -> None:
    async def check() -> None:
        async with plant(good, good) as works:
            (subject,) = tickers(works.meters, works.collector, NOON, clock=works.clock)
            works.clock.step(35)  # nothing has run it
            subject.drop("site/0", works.clock())
            await works.collector.stop()
            assert works.store.gaps == [Gap("site/0", NOON, second(40), "overrun")]

    run(check())


def test_a_meter_that_joins_is_read_in_the_ticks_of_the_others_and_loses_those_before() -> None:
    seldom = RegisterMap(
        "seldom",
        (
            Metric("W", 10, 2, DataType.UINT32),
            Metric("Serial", 40, 1, DataType.UINT16, interval_s=3600),
        ),
    )

    async def check() -> None:
        async with plant(good, good, register_map=seldom) as works:
            works.clock.step(1)
            meters = list(works.meters)
            late = works.meters.pop()
            async with ticking(works, works.clock()) as subject:
                await asyncio.sleep(24)
                subject.add(late, second(5))
                await asyncio.sleep(30)
            works.meters[:] = meters
            assert works.store.ticks(late.name) == [second(s).timestamp() for s in (30, 40, 50)]
            assert works.store.gaps == [Gap(late.name, second(10), second(30), "overrun")]
            for name in ("site/0", late.name):
                works.owed(name, "W", second(5), second(50))
                looked = [r for r in works.store.readings if r.meter == name and not r.scheduled]
                assert [set(r.metrics) for r in looked] == [{"Serial"}]

    run(check())


def test_a_ticker_without_meters_ends() -> None:
    async def check() -> None:
        async with plant(good) as works:
            (subject,) = tickers(works.meters, works.collector, NOON, clock=works.clock)
            running = asyncio.ensure_future(subject.run())
            await asyncio.sleep(15)
            assert not running.done()
            subject.drop("site/0", works.clock())
            assert subject.is_empty
            async with asyncio.timeout(11):
                await running

    run(check())
