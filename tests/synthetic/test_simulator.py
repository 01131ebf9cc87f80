import asyncio
import math
import struct
from dataclasses import replace

import pytest

from emdc.meters.library import find
from emdc.meters.plan import plan
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.words import Ratios, compile_batch
from emdc.reading import Value
from emdc.synthetic.simulator import Simulator, fixed_words, simulate, site_for
from emdc.synthetic.waveform import state

NOON = 1790000000.0


def real(name: str, address: int) -> Metric:
    return Metric(name, address, 2, DataType.FLOAT32)


METER = RegisterMap(
    "three-phase",
    (
        real("W_A", 100),
        real("W_B", 102),
        real("W_C", 104),
        real("W", 108),  # after a hole of two registers
        Metric("Model", 200, 4, DataType.STRING),
        Metric("Wh_delivered", 210, 4, DataType.UINT64, kind="counter", unit="Wh"),
        real("freq", 220),
        Metric("Door", 3, 1, DataType.UINT16, function_code=2),
        Metric("Breaker", 0, 1, DataType.UINT16, function_code=1),
        Metric("Alarm", 1, 1, DataType.UINT16, function_code=1),
    ),
    model="PM1",
    max_gap=2,
)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def words(answer: bytes | int) -> bytes:
    assert isinstance(answer, bytes), f"exception {answer}"
    return answer


def test_one_read_is_of_one_instant_and_phases_add_up_in_it() -> None:
    clock = Clock()
    meter = Simulator(METER, clock=clock)
    for _ in range(50):
        clock.now += 0.733
        a, b, c, total = struct.unpack(">fff4xf", words(meter.answer(1, 3, 100, 10)))
        assert total == pytest.approx(a + b + c, rel=1e-6)


def test_values_are_those_of_the_waveform_and_move_with_the_clock() -> None:
    clock = Clock()
    meter = Simulator(METER, seed=5, clock=clock)
    first = words(meter.answer(1, 3, 220, 2))
    assert struct.unpack(">f", first)[0] == pytest.approx(state(NOON, meter.site)["freq"])
    assert meter.value("freq") == state(NOON, meter.site)["freq"]
    clock.now += 0.05
    assert meter.answer(1, 3, 220, 2) == first
    clock.now += 1.0
    assert meter.answer(1, 3, 220, 2) != first


def test_counters_grow_and_texts_name_the_model() -> None:
    clock = Clock()
    meter = Simulator(METER, clock=clock)
    before = int.from_bytes(words(meter.answer(1, 3, 210, 4)))
    clock.now += 3600.0
    after = int.from_bytes(words(meter.answer(1, 3, 210, 4)))
    assert 10000 < after - before < 99000
    assert meter.answer(1, 3, 200, 4) == b"PM1\0\0\0\0\0"


@pytest.mark.parametrize(
    ("address", "count", "why"),
    [
        (99, 2, "starts before the map"),
        (106, 4, "starts in a hole"),
        (104, 7, None),
        (104, 8, None),
        (108, 4, None),
        (108, 5, "ends in a wide hole"),
        (200, 12, "crosses a wide hole"),
        (101, 1, None),
        (65535, 1, "outside"),
    ],
)
def test_a_block_starts_on_a_mapped_register_and_crosses_small_holes_only(
    address: int, count: int, why: str | None
) -> None:
    answer = Simulator(METER, clock=Clock()).answer(1, 3, address, count)
    assert (answer == 2) if why else len(words(answer)) == 2 * count


def test_holes_read_as_zero() -> None:
    assert words(Simulator(METER, clock=Clock()).answer(1, 3, 104, 6))[4:8] == bytes(4)


def test_a_map_without_gaps_refuses_every_hole() -> None:
    meter = Simulator(replace(METER, max_gap=0), clock=Clock())
    assert meter.answer(1, 3, 100, 10) == 2
    assert len(words(meter.answer(1, 3, 100, 6))) == 12


def test_a_group_is_read_over_a_wide_hole_of_its_own() -> None:
    metrics = [replace(m, group="g") if m.name in {"W", "freq"} else m for m in METER.metrics]
    meter = Simulator(replace(METER, metrics=tuple(metrics), max_gap=0), clock=Clock())
    assert len(words(meter.answer(1, 3, 108, 114))) == 228
    assert meter.answer(1, 3, 104, 6) == 2


def test_part_of_a_value_is_part_of_its_registers() -> None:
    meter = Simulator(METER, clock=Clock())
    assert words(meter.answer(1, 3, 101, 2)) == words(meter.answer(1, 3, 100, 4))[2:6]


def test_too_many_registers_unused_tables_and_other_units_get_their_exceptions() -> None:
    meter = Simulator(replace(METER, max_registers=8), clock=Clock(), unit=7)
    assert meter.answer(7, 3, 100, 10) == 3
    assert meter.answer(7, 4, 100, 2) == 1
    assert meter.answer(1, 3, 100, 2) == 0x0B


def test_coils_and_inputs_are_packed_lowest_bit_first() -> None:
    fixed = {"Door": 1, "Breaker": 0, "Alarm": 1}
    meter = Simulator(METER, clock=Clock(), fixed=fixed)
    assert meter.answer(1, 1, 0, 2) == b"\x02"
    assert meter.answer(1, 2, 3, 1) == b"\x01"
    assert meter.answer(1, 1, 0, 10) == 2


def test_a_coil_changes_now_and_then() -> None:
    clock = Clock()
    meter = Simulator(METER, clock=clock)
    seen = []
    for _ in range(40):
        clock.now += 180.0
        seen.append(words(meter.answer(1, 1, 0, 1)))
    assert set(seen) == {b"\x00", b"\x01"}


def test_fixed_values_stand_still_and_none_is_no_value() -> None:
    meter = Simulator(METER, clock=Clock(), fixed={"W_A": 12.5, "W_B": None})
    first, second = struct.unpack(">ff", words(meter.answer(1, 3, 100, 4)))
    assert first == 12.5
    assert math.isnan(second)


def test_where_metrics_overlap_the_first_row_is_served() -> None:
    pair = RegisterMap("old", (real("pf_B", 0), real("pf_C", 0)))
    meter = Simulator(pair, clock=Clock(), fixed={"pf_B": 0.5, "pf_C": 0.25})
    assert struct.unpack(">f", words(meter.answer(1, 3, 0, 2))) == (0.5,)


def test_an_installation_fits_narrow_registers() -> None:
    narrow = RegisterMap(
        "nexus-like",
        (
            Metric("W", 0, 2, DataType.INT32, scale=2.0**-16),
            Metric("Current_A", 2, 1, DataType.UINT16, scale=0.001),
        ),
    )
    site = site_for(narrow, 3)
    quantities = [state(NOON + 3600.0 * hour, site) for hour in range(168)]
    assert max(now["W"] for now in quantities) < 32767.0
    assert 20.0 < max(now["Current_A"] for now in quantities) < 65.535


def test_fixed_words_are_served_as_they_are() -> None:
    answer = fixed_words({3: {10: 0x1234, 11: 0xFFFF}, 1: {0: 1, 1: 0, 2: 1}})
    assert answer(1, 3, 10, 2) == bytes.fromhex("1234 FFFF")
    assert answer(1, 3, 11, 2) == 2
    assert answer(1, 1, 0, 3) == b"\x05"
    assert answer(1, 4, 10, 1) == 1


def test_a_simulated_meter_listens_on_a_free_port() -> None:
    async def run() -> None:
        server = await simulate(METER, "127.0.0.1", 0, unit=1)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(bytes.fromhex("0001 0000 0006 01 03 00DC 0002"))
        answer = await reader.readexactly(13)
        assert answer[:9] == bytes.fromhex("0001 0000 0007 01 03 04")
        assert struct.unpack(">f", answer[9:])[0] == pytest.approx(60.0, abs=0.03)
        writer.close()
        server.close()
        await server.wait_closed()

    asyncio.run(run())


CODED = RegisterMap(
    "coded",
    (
        Metric("pf", 0, 1, DataType.UINT16, scale=0.001, code="f8_pf"),
        Metric("VAh", 1, 4, DataType.UINT64, code="bcd", kind="counter"),
        Metric("Wh_delivered", 5, 2, DataType.UINT32, scale=1000, code="mod10k", kind="counter"),
        Metric("Celsius", 7, 1, DataType.INT16, scale=0.1, offset=-40.0),
        Metric("W", 8, 2, DataType.INT32, scale=2.0**-16, word_order="little"),
        Metric("Model", 10, 3, DataType.STRING),
        Metric("Absent", 13, 2, DataType.UINT32, invalid=(0xFFFFFFFF,)),
    ),
    model="PM1",
)


def test_the_decoder_gives_back_what_the_simulator_meant() -> None:
    fixed = {"Celsius": 21.5, "Absent": None, "pf": 0.987, "W": -1234.5}
    meter = Simulator(CODED, clock=Clock(), fixed=fixed)
    (batch,) = plan(CODED.metrics, max_registers=125, max_gap=0)
    decoder = compile_batch(batch, Ratios())
    data = words(meter.answer(1, 3, batch.address, batch.count))
    values, gaps = decoder.decode(data)
    found = dict(zip(decoder.names, values, strict=True))
    for name in ("pf", "Celsius", "W"):
        assert found[name] == pytest.approx(fixed[name])
    for name in ("VAh", "Wh_delivered"):
        assert found[name] == pytest.approx(meter.value(name), rel=1e-5)
    assert found["Model"] == "PM1"
    assert gaps == {"Absent": "not_available"}


@pytest.mark.parametrize("name", ["nexus-1272", "eaton-pxm-4000"])
def test_a_shipped_map_is_served_whole_and_its_values_agree(name: str) -> None:
    shipped = find(name)
    meter = Simulator(shipped, clock=Clock())
    found: dict[str, Value] = {}
    batches = plan(shipped.metrics, max_registers=shipped.max_registers, max_gap=shipped.max_gap)
    for batch in batches:
        decoder = compile_batch(batch, Ratios())
        answer = words(meter.answer(1, batch.function_code, batch.address, batch.count))
        values, gaps = decoder.decode(answer)
        assert gaps == {}
        found.update(zip(decoder.names, values, strict=True))
    numbers = {key: value for key, value in found.items() if isinstance(value, float | int)}
    assert numbers["W"] == pytest.approx(sum(numbers[f"W_{p}"] for p in "ABC"), rel=1e-5)
    assert math.hypot(numbers["W"], numbers["VAR"]) == pytest.approx(numbers["VA"], rel=1e-5)
    assert numbers["pf"] == pytest.approx(numbers["W"] / numbers["VA"], abs=0.001)
    assert 260.0 < numbers["Voltage_AN"] < 290.0
    for key, value in numbers.items():
        meant = meter.value(key)
        assert isinstance(meant, float | int)
        assert value == pytest.approx(meant, rel=0.01, abs=0.01), key
