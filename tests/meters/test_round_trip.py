"""What is put into a simulated meter comes out of a reading: every type, order and code, over TCP.

The simulator encodes; link, plan and decoders read it back as the daemon does.
"""

import asyncio
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.reads import Limits, reads_of, want
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.words import NO_RATIOS, Ratios
from emdc.modbus import Links, LinkSettings
from emdc.modbus.server import Answer, serve
from emdc.reading import GapReason, Value
from emdc.synthetic.simulator import Simulator, fixed_words
from tests.meters.plants import NUMBERS, ORDERS, Plant, Put, bounds, laid_out, plants


class Bench:
    """A server whose meter changes, and one link to it."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._serving: Answer = fixed_words({})
        runner.run(self._open())

    async def _open(self) -> None:
        self._server = await serve(self._answer, "127.0.0.1", 0)
        self._links = Links(jitter=lambda: 0.5, holder=lambda: "a test")

    def _answer(self, unit: int, function_code: int, address: int, count: int) -> bytes | int:
        return self._serving(unit, function_code, address, count)

    def reads(
        self, plant: Plant, ratios: Ratios = NO_RATIOS, asked: RegisterMap | None = None
    ) -> dict[str, Value]:
        """A reading of what the plant expects; gaps as their reason. `asked`: another map."""
        simulator = Simulator(plant.register_map, clock=lambda: 0.0, fixed=plant.shown)
        self._serving = simulator.answer

        async def read() -> dict[str, Value]:
            meter = Meter(
                "site/meter",
                asked or plant.register_map,
                self._links.link("127.0.0.1", self._server.port, LinkSettings()),
                MeterSettings(timeout_s=60, retries=0, ratios=ratios),
                clock=lambda: datetime.now(UTC),
            )
            reading = await meter.read(want(plant.expected))
            return dict(zip(reading.metrics, reading.values, strict=True)) | dict(reading.gaps)

        return self._runner.run(read())

    async def close(self) -> None:
        self._links.close()
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture(scope="module", name="subject")
def _subject() -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        opened = Bench(runner)
        yield opened
        runner.run(opened.close())


def same(found: dict[str, Value], expected: dict[str, Value]) -> None:
    assert found == expected
    assert {n: type(v) for n, v in found.items()} == {n: type(v) for n, v in expected.items()}


@given(plant=plants())
@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_a_meter_shows_is_what_is_read(subject: Bench, plant: Plant) -> None:
    same(subject.reads(plant), plant.expected)


@pytest.mark.parametrize("max_gap", [0, 4])
def test_each_type_at_its_ends_in_each_order_and_table(subject: Bench, max_gap: int) -> None:
    size = {kind: kind.registers or 0 for kind in NUMBERS}
    puts = [
        Put(Metric("", 0, size[kind], kind, 1, "", "", code, words, octets), value, value)
        for words, octets in ORDERS
        for code in (3, 4)
        for kind in NUMBERS
        for value in ((-1.5, 2.0**120) if kind.is_float else (*bounds(kind), 1))
    ]
    plant = laid_out(puts, repeat(1), max_gap=max_gap)
    same(subject.reads(plant), plant.expected)


def test_ratios_of_the_meter_multiply_what_it_shows(subject: Bench) -> None:
    energy: dict[str, Any] = {"kind": "counter", "ratio": "ct*pt", "scale_register": "SF"}
    register_map = RegisterMap(
        "ratios",
        (
            Metric("Current", 0, 2, DataType.INT32, scale=0.001, ratio="ct", byte_order="little"),
            Metric("Wh", 2, 4, DataType.UINT64, word_order="little", **energy),
            Metric("freq", 6, 1, DataType.UINT16, scale=0.01),
            Metric("SF", 7, 1, DataType.INT16),
            *(Metric(name, 50 + at, 1, DataType.UINT16) for at, name in enumerate(("P", "S"))),
            Metric("PT", 90, 2, DataType.FLOAT32, function_code=4),
        ),
        ct_ratio="P/S",
        pt_ratio="PT",
    )
    shown: dict[str, Value] = {"Current": 5.001, "Wh": 123_456_789_000, "freq": 50.0, "SF": 3}
    shown |= {"P": 200, "S": 5, "PT": 20.0}
    expected: dict[str, Value] = {"Current": 200.04, "Wh": 98_765_431_200_000, "freq": 50.0}
    plant = Plant(register_map, shown, expected)
    same(subject.reads(plant, Ratios(ct="meter", pt="meter")), expected)
    lost = Plant(register_map, {**shown, "S": 0}, {"Current": "decode_error", "freq": 50.0})
    same(subject.reads(lost, Ratios(ct="meter", pt=1)), lost.expected)


def test_a_meter_that_refuses_the_scale_register_gives_the_others(subject: Bench) -> None:
    """The register of the map that no meter has: the simulator serves a map without it."""
    metrics = (
        Metric("V", 0, 1, DataType.UINT16, scale_register="SF"),
        Metric("freq", 1, 1, DataType.UINT16, scale=0.01),
        Metric("SF", 40, 1, DataType.INT16),
    )
    served = Plant(
        RegisterMap("served", (Metric("V", 0, 1, DataType.UINT16), metrics[1])),
        {"V": 2301, "freq": 50.01},
        {"V": "exception:2", "freq": 50.01},
    )
    same(subject.reads(served, asked=RegisterMap("asked", metrics)), served.expected)


@given(plant=plants(), data=st.data())
@settings(deadline=None)
def test_whatever_the_registers_hold_a_value_is_finite_or_a_gap(
    plant: Plant, data: st.DataObject
) -> None:
    names = want(metric.name for metric in plant.register_map.metrics)
    plan = reads_of(plant.register_map, names, unit=1, ratios=NO_RATIOS, limits=Limits(125, 120))
    values: list[Value] = []
    gaps: dict[str, GapReason] = {}
    for read in plan.reads:
        size = (read.batch.count + 7) // 8 if read.batch.function_code < 3 else 2 * read.batch.count
        found, missing = read.decode(data.draw(st.binary(min_size=size, max_size=size)))
        values += found
        gaps |= missing
    if plan.finish is not None:
        values = plan.finish(values, gaps)
    known = dict(zip(plan.metrics, values, strict=True))
    assert set(known) == names
    assert {name for name, value in known.items() if value is None} == set(gaps)
    assert set(gaps.values()) <= {"not_available", "decode_error", "out_of_range"}
    numbers = [value for value in known.values() if isinstance(value, int | float)]
    assert all(map(math.isfinite, numbers))
