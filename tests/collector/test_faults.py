"""Every fault of a meter, from its sockets to the readings: no wrong value, none lost for good."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from emdc.collector.ticker import tickers
from emdc.reading import MeterReading
from tests import misbehaving
from tests.collector.plant import MAP, Plant, plant
from tests.faults import FAULTS, Faulty
from tests.misbehaving import Connection, framed
from tests.virtual_time import run

INTERVAL_S = 10
BUSY = b"\1\x83\6"
RIGHT = {
    metric.name: int.from_bytes(misbehaving.data(1, metric.address, metric.size))
    for metric in MAP.metrics
}


async def polled(works: Plant, ticks: int) -> None:
    """Run the schedule from now on for so many ticks."""
    begin = works.clock()
    running = tickers(works.meters, works.collector, begin, clock=works.clock)
    tasks = [asyncio.ensure_future(ticker.run()) for ticker in running]
    await asyncio.sleep(ticks * INTERVAL_S - 0.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await works.collector.stop()
    for meter in works.meters:
        works.owed(meter.name, "W", begin, works.clock() - timedelta(seconds=INTERVAL_S))


def checked(readings: list[MeterReading]) -> set[str]:
    """Every value must be the right one; the reasons of those that are missing."""
    for reading in readings:
        for name, value in zip(reading.metrics, reading.values, strict=True):
            assert value == RIGHT[name] if name not in reading.gaps else value is None
    return {reason for reading in readings for reason in reading.gaps.values()}


@pytest.mark.parametrize(("script", "reasons"), FAULTS.values(), ids=FAULTS)
def test_a_fault_gives_no_wrong_value_and_is_over_two_ticks_after_the_meter_is_well(
    script: Faulty, reasons: set[str]
) -> None:
    async def check() -> None:
        script.ill = False
        async with plant(script) as works:
            await polled(works, 2)
            assert checked(works.store.readings) == set()
            works.store.readings.clear()
            script.ill = True
            if script.greeting:
                works.peers[0].drop()
            await polled(works, 6)
            assert checked(works.store.readings) - {"backoff_skipped"} == reasons
            script.ill = False
            await polled(works, 2)
            works.store.readings.clear()
            await polled(works, 2)
            assert len(works.store.readings) >= 2
            assert checked(works.store.readings) == set()
            assert works.peers[0].most_open == 1

    run(check())


@pytest.mark.parametrize("idle_s", [5, 60])
def test_a_meter_that_closes_idle_connections_leaves_no_gap(idle_s: int) -> None:
    async def script(connection: Connection) -> None:
        await connection.answer()
        while True:
            async with asyncio.timeout(idle_s):
                await connection.answer()

    async def check() -> None:
        async with plant(closing_when_late(script)) as works:
            await polled(works, 13)
            assert len(works.store.ticks("site/0")) == 13
            assert checked(works.store.readings) == set()
            assert works.peers[0].connections == (13 if idle_s < INTERVAL_S else 1)

    run(check())


def closing_when_late(script: misbehaving.Script) -> misbehaving.Script:
    async def closing(connection: Connection) -> None:
        with suppress(TimeoutError):
            await script(connection)

    return closing


@pytest.mark.parametrize("busy", [False, True])
def test_a_meter_that_starts_anew_in_mid_cycle_keeps_what_it_had_said(busy: bool) -> None:
    """It is away, or answers that it is busy, for half a minute."""

    async def check() -> None:
        loop = asyncio.get_running_loop()
        well_at = float("inf")

        async def script(connection: Connection) -> None:
            nonlocal well_at
            if connection.number == 1:
                while True:
                    request = await connection.request()
                    if request[9] == 40:  # the second read of the cycle
                        well_at = loop.time() + 30
                        return
                    await connection.send(misbehaving.right(request))
            while loop.time() < well_at:
                if not busy:
                    return
                request = await connection.request()
                answer = framed(request[:2], b"\1\x83\6")
                await connection.send(
                    misbehaving.right(request) if loop.time() > well_at else answer
                )
            await connection.answer_all()

        async with plant(script) as works:
            await polled(works, 12)
            (first, *rest) = sorted(
                (r for r in works.store.readings if "Wh" in r.metrics), key=lambda r: r.tick
            )
            assert first.gaps == {"Wh": "exception:6" if busy else "connection_reset"}
            found = dict(zip(first.metrics, first.values, strict=True))
            assert (found["W"], found["freq"]) == (RIGHT["W"], RIGHT["freq"])
            assert [r.gaps for r in rest] == [{}]
            ill = {r.tick for r in works.store.readings if r.gaps}
            assert max(ill) - min(ill) <= timedelta(seconds=30 + 2 * INTERVAL_S)

    run(check())


@pytest.mark.parametrize("kicks", [False, True])
def test_a_meter_with_one_connection_is_read_when_another_client_has_let_it_go(
    kicks: bool,
) -> None:
    """A newcomer is refused, or takes the connection from who has it."""
    held: list[Connection] = []

    async def script(connection: Connection) -> None:
        while held and not held[-1].is_closed:
            if not kicks:
                return
            held.pop().close()
        held.append(connection)
        await connection.answer_all()

    async def check() -> None:
        async with plant(script) as works:
            peer = works.peers[0]
            await polled(works, 2)
            assert checked(works.store.readings) == set()
            if not kicks:
                peer.drop()
                await asyncio.sleep(0.1)
            _, writer = await asyncio.open_connection(peer.host, peer.port)
            await polled(works, 3)
            lost = checked(works.store.readings) - {"backoff_skipped"}
            # Who takes the connection from the newcomer is read; who is refused has to wait.
            assert lost == (set() if kicks else {"connection_reset"})
            writer.close()
            await polled(works, 2)
            works.store.readings.clear()
            await polled(works, 2)
            assert checked(works.store.readings) == set()

    run(check())
