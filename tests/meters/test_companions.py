"""Values whose scale or ratio other registers hold: exact numbers, and gaps that say why."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.meters.reads import Limits, Plan, reads_of, want
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.words import Ratios
from emdc.reading import GapReason, Value

FORMATS = {
    DataType.UINT16: "H",
    DataType.INT16: "h",
    DataType.UINT32: "I",
    DataType.INT32: "i",
    DataType.UINT64: "Q",
    DataType.FLOAT32: "f",
}
METER = Ratios(ct="meter", pt="meter")


def metric(name: str, data_type: DataType = DataType.INT16, **fields: Any) -> Metric:
    return Metric(name, 0, data_type.registers or 1, data_type, **fields)


def laid_out(*metrics: Metric, **fields: Any) -> RegisterMap:
    """The metrics one after the other, from address 100."""
    address, placed = 100, []
    for one in metrics:
        values = {name: getattr(one, name) for name in one.__slots__}
        placed.append(Metric(**{**values, "address": address}))
        address += one.size
    return RegisterMap("test", tuple(placed), **fields)


def plan_of(
    register_map: RegisterMap, wanted: Sequence[str] = (), ratios: Ratios | None = None
) -> Plan:
    names = wanted or [metric.name for metric in register_map.metrics]
    return reads_of(
        register_map, want(names), unit=1, ratios=ratios or Ratios(), limits=Limits(125, 10)
    )


def read(
    register_map: RegisterMap,
    raw: Mapping[str, float],
    wanted: Sequence[str] = (),
    ratios: Ratios | None = None,
    lost: Mapping[str, GapReason] | None = None,
) -> dict[str, Value]:
    """What a plan makes of these raw numbers; gaps as their reason. `lost` are not answered."""
    registers = b"".join(
        struct.pack(">" + FORMATS[one.data_type], raw.get(one.name, 0))
        for one in register_map.metrics
    )
    plan = plan_of(register_map, wanted, ratios)
    values: list[Value] = []
    gaps: dict[str, GapReason] = {}
    for each in plan.reads:
        start = 2 * (each.batch.address - 100)
        found, missing = each.decode(registers[start : start + 2 * each.batch.count])
        for index, name in enumerate(each.decoder.names):
            if name in (lost or {}):
                found[index], missing[name] = None, (lost or {})[name]
        values += found
        gaps |= missing
    if plan.finish is not None:
        values = plan.finish(values, gaps)
    assert {n for n, v in zip(plan.metrics, values, strict=True) if v is None} == set(gaps)
    return dict(zip(plan.metrics, values, strict=True)) | gaps


SUNSPEC = laid_out(
    metric("V", DataType.UINT16, scale_register="V_SF", invalid=(0xFFFF,)),
    metric("V_SF", invalid=(0x8000,)),
    metric("Wh", DataType.UINT64, scale_register="Wh_SF", kind="counter"),
    metric("Wh_SF", invalid=(0x8000,)),
)


@pytest.mark.parametrize(
    ("raw", "power", "value"),
    [
        *((2301, -1, 230.1), (23012, -2, 230.12), (7, -10, 7e-10), (1, -1, 0.1)),
        *((230, 0, 230), (23, 1, 230), (3, 10, 30_000_000_000)),
    ],
)
def test_a_value_is_the_raw_number_times_a_power_of_ten(raw: int, power: int, value: float) -> None:
    found = read(SUNSPEC, {"V": raw, "V_SF": power}, ["V"])
    assert found == {"V": value}
    assert type(found["V"]) is type(value)


@given(st.integers(0, 2**64 - 1), st.integers(-10, 10))
def test_a_counter_with_a_scale_factor_is_exact(raw: int, power: int) -> None:
    value = read(SUNSPEC, {"Wh": raw, "Wh_SF": power})["Wh"]
    assert value == (raw * 10**power if power >= 0 else raw / 10**-power)
    assert type(value) is (int if power >= 0 else float)


def test_what_nobody_asked_for_is_read_but_not_reported() -> None:
    plan = plan_of(SUNSPEC, ["V"])
    assert [m.name for each in plan.reads for m in each.batch.metrics] == ["V", "V_SF"]
    assert len(plan.reads) == 1
    assert plan.metrics == ("V",)
    assert read(SUNSPEC, {"V": 1, "V_SF": 1}, ["V_SF", "V"]) == {"V": 10, "V_SF": 1}


def test_a_map_without_such_registers_has_nothing_to_finish() -> None:
    plain = laid_out(metric("W", ratio="ct*pt"))
    assert plan_of(plain).finish is None
    assert plan_of(plain, ratios=Ratios(ct=40)).finish is None
    assert plan_of(SUNSPEC, ["V_SF"]).finish is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"V": 0xFFFF}, "not_available"),
        ({"V": 2300, "V_SF": -32768}, "not_available"),
        ({"V": 2300, "V_SF": -11}, "decode_error"),
        ({"V": 2300, "V_SF": 11}, "decode_error"),
    ],
)
def test_a_scale_factor_that_says_nothing_is_a_gap_of_its_values(
    raw: dict[str, float], reason: str
) -> None:
    assert read(SUNSPEC, raw, ["V", "Wh"]) == {"V": reason, "Wh": 0}


def test_a_scale_factor_that_was_not_answered_gives_its_reason_on() -> None:
    lost = {"V_SF": "exception:2"}
    assert read(SUNSPEC, {"V": 1}, ["V"], lost=lost) == {"V": "exception:2"}
    assert read(SUNSPEC, {"V": 0xFFFF}, ["V"], lost=lost) == {"V": "not_available"}


def test_a_plan_that_is_split_still_scales() -> None:
    plan = plan_of(SUNSPEC, ["V"])
    again = plan.split_into([each.batch for each in plan.reads])
    assert again.metrics == ("V",)
    assert again.finish is not None
    assert again.finish([2301, -1], {}) == [230.1]


def test_a_plan_that_leaves_a_refused_register_out_gives_its_gap_on() -> None:
    plan = plan_of(SUNSPEC, ["V"])
    assert plan.finish is not None
    (batch,) = (each.batch for each in plan.reads)
    alone = type(batch)(3, 100, 1, batch.metrics[:1])
    gaps = {"V_SF": "exception:2"}
    finish = plan.split_into([alone]).finish
    assert finish is not None
    assert finish([2301], gaps) == [None]
    assert gaps["V"] == "exception:2"


def test_scale_offset_and_limits_go_with_a_scale_factor() -> None:
    found = laid_out(
        metric("pf", scale=0.01, scale_register="SF", minimum=-1, maximum=1),
        metric("T", scale_register="SF", offset=-40),
        metric("SF"),
    )
    assert read(found, {"pf": 9512, "T": 625, "SF": -2}, ["pf", "T"]) == {"pf": 0.9512, "T": -33.75}
    assert read(found, {"pf": 10001, "SF": -2}, ["pf"]) == {"pf": "out_of_range"}


@pytest.mark.parametrize(
    ("register", "held", "factor"),
    [
        ("-N", 2, 0.01),
        ("1/N", 10, 0.1),
        ("1/N", 3, 1 / 3),
        ("M; -N", 2, 10),
        (" M ;-N; 1/K", 1, 25),
    ],
)
def test_powers_and_divisors_can_stand_together(register: str, held: int, factor: float) -> None:
    others = [metric(name, DataType.UINT16) for name in ("N", "M", "K")]
    found = laid_out(metric("W", scale_register=register), *others)
    assert read(found, {"W": 1, "N": held, "M": 3, "K": 4}, ["W"]) == {"W": factor}


@pytest.mark.parametrize("held", [0, -5])
def test_a_divisor_that_is_not_positive_is_a_decode_error(held: int) -> None:
    found = laid_out(metric("W", scale_register="1/N"), metric("N"))
    assert read(found, {"W": 1, "N": held}, ["W"]) == {"W": "decode_error"}


@pytest.mark.parametrize(
    ("byte", "factor"),
    [
        *((0b111_00_000, 1), (0b111_00_011, 0.001), (0b100_01_000, 1000), (0b000_01_010, 10)),
        *((0b000_10_000, 10**6), (0b000_11_010, 10**4), (0b000_10_111, 0.1)),
    ],
)
def test_a_nexus_energy_has_the_step_of_its_format_byte(byte: int, factor: float) -> None:
    energy = metric("Wh", DataType.INT32, code="f64", scale_register="format")
    other = metric("VAh", DataType.INT32, code="f64", scale_register="high")
    low = metric("format", DataType.UINT16, bits=(0, 7))
    high = Metric("high", 104, 1, DataType.UINT16, bits=(8, 15))
    found = laid_out(energy, other, low)
    found = RegisterMap("nexus", (*found.metrics, high))
    registers = struct.pack(">iiBB", 12345, -7, 0b000_01_000, byte)
    plan = plan_of(found, ["Wh", "VAh"])
    (each,) = plan.reads
    values, gaps = each.decode(registers)
    assert plan.finish is not None
    done = dict(zip(plan.metrics, plan.finish(values, gaps), strict=True))
    assert done == {"Wh": 12345 * factor, "VAh": -7000}
    assert gaps == {}


def test_a_factor_that_outgrows_numbers_is_out_of_range() -> None:
    found = laid_out(
        metric("a", DataType.FLOAT32, scale=1e300, scale_register="SF"),
        metric("b", scale=1e305, scale_register="SF"),
        metric("SF"),
    )
    raw = {"a": 1e30, "b": 1, "SF": 10}
    assert read(found, raw, ["a", "b"]) == {"a": "out_of_range", "b": "out_of_range"}


# Ratios

CT = laid_out(
    metric("I", DataType.UINT16, scale=0.001, ratio="ct", maximum=6),
    metric("W", DataType.INT32, ratio="ct*pt"),
    metric("V", DataType.FLOAT32, ratio="pt"),
    metric("freq", DataType.UINT16, scale=0.01),
    metric("CT/prim", DataType.UINT16),
    metric("CT sec", DataType.UINT16),
    metric("PT", DataType.UINT16, scale=0.1),
    ct_ratio="CT/prim/CT sec",
    pt_ratio="PT",
)
RAW = {"I": 5000, "W": 1000, "V": 100.25, "freq": 5001, "CT/prim": 200, "CT sec": 5, "PT": 25}


def test_ratios_are_read_from_the_meter_when_it_is_set_so() -> None:
    found = read(CT, RAW, ["I", "W", "V", "freq"], METER)
    assert found == {"I": 200.0, "W": 100_000, "V": 250.625, "freq": pytest.approx(50.01)}
    assert type(found["W"]) is int


def test_one_ratio_can_be_given_and_the_other_read() -> None:
    assert read(CT, RAW, ["W", "V"], Ratios(ct="meter", pt=3)) == {"W": 120_000, "V": 300.75}
    assert read(CT, RAW, ["W"], Ratios(ct=1.7, pt="meter")) == {"W": 4250}


def test_limits_are_meant_before_ratios_that_are_read_too() -> None:
    assert read(CT, {**RAW, "I": 6000}, ["I"], METER) == {"I": 240}
    assert read(CT, {**RAW, "I": 6001}, ["I"], METER) == {"I": "out_of_range"}
    both = laid_out(
        metric("W", scale=0.1, scale_register="SF", ratio="ct", maximum=6),
        *(metric("SF"), metric("CT")),
        ct_ratio="CT",
    )
    assert read(both, {"W": 600, "SF": -1, "CT": 40}, ["W"], METER) == {"W": 240}
    assert read(both, {"W": 601, "SF": -1}, ["W"], Ratios(ct=40)) == {"W": "out_of_range"}


@pytest.mark.parametrize("raw", [{"CT sec": 0}, {"CT/prim": 0}])
def test_a_ratio_that_is_none_makes_gaps_of_the_values_that_need_it(raw: dict[str, int]) -> None:
    found = read(CT, {**RAW, **raw}, ["I", "W", "V"], METER)
    assert found == {"I": "decode_error", "W": "decode_error", "V": 250.625}


def test_two_large_ratios_are_fine_together() -> None:
    large = {**RAW, "CT/prim": 60_000, "CT sec": 1, "PT": 60_000}
    assert read(CT, {**large, "W": 1}, ["W"], METER) == {"W": 360_000_000}
    one = laid_out(
        *(metric("W", ratio="ct*pt"), metric("CT", DataType.UINT32), metric("PT")),
        ct_ratio="CT",
        pt_ratio="PT",
    )
    assert read(one, {"W": 1, "CT": 10**6, "PT": 5}, ["W"], METER) == {"W": 5_000_000}
    assert read(one, {"W": 1, "CT": 10**6 + 1, "PT": 1}, ["W"], Ratios(ct="meter")) == {
        "W": "decode_error"
    }


def test_ratios_of_the_meter_are_not_read_when_numbers_are_given() -> None:
    plan = plan_of(CT, ["W"], Ratios(ct=40, pt=2))
    assert [m.name for each in plan.reads for m in each.batch.metrics] == ["W"]


def test_a_map_that_does_not_say_where_a_ratio_is_cannot_read_it() -> None:
    silent = laid_out(metric("I", ratio="ct"), metric("V"))
    with pytest.raises(ValueError, match=r"the map test does not say where: give a number"):
        plan_of(silent, ratios=METER)
    assert plan_of(silent, ["V"], METER).finish is None
