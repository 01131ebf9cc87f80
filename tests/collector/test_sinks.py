import asyncio
from datetime import UTC, datetime

import pytest

from emdc.collector.sinks import FanOut, Sink
from emdc.errors import StorageError
from emdc.reading import Gap, MeterReading
from tests.collector.plant import DOWN, Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
READINGS = [MeterReading("m", NOON, NOON, ("a",), (1,), {})]
GAPS = [Gap("m", NOON, NOON, "overrun")]


def test_every_sink_gets_the_same_readings_and_gaps() -> None:
    async def check() -> None:
        stores = [Store(), Store()]
        fan: Sink = FanOut(*stores)
        await fan.write(READINGS)
        await fan.write_gaps(GAPS)
        for store in stores:
            assert (store.readings, store.gaps) == (READINGS, GAPS)

    asyncio.run(check())


def test_a_sink_that_fails_is_heard_and_those_before_it_have_the_readings() -> None:
    async def check() -> None:
        first, failing = Store(), Store()
        failing.failure = DOWN
        fan = FanOut(first, failing)
        with pytest.raises(StorageError):
            await fan.write(READINGS)
        with pytest.raises(StorageError):
            await fan.write_gaps(GAPS)
        assert (first.readings, first.gaps) == (READINGS, GAPS)

    asyncio.run(check())


def test_without_sinks_nothing_happens() -> None:
    asyncio.run(FanOut().write(READINGS))
