"""Scale and ratio registers of a simulated meter, and what its other registers then hold."""

import pytest

from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.reading import Value
from emdc.synthetic.scales import registers, settled
from emdc.synthetic.simulator import Simulator


def metric(name: str, unit: str = "", data_type: str = "INT16", **fields: object) -> Metric:
    kind = DataType(data_type)
    return Metric(name, 0, kind.registers or 0, kind, unit=unit, **fields)  # type: ignore[arg-type]


SUNSPEC = RegisterMap(
    "any",
    (
        *(metric("V", "V", scale_register="V_SF"), metric("V_SF")),
        *(metric("A", "A", scale_register="A_SF"), metric("A_SF")),
        *(metric("W", "W", scale_register="W_SF"), metric("W_SF")),
        *(
            metric("Wh", "Wh", "INT32", code="f64", scale_register="F65"),
            metric("F65", "", "UINT16"),
        ),
        *(metric("I", "A", scale_register="1/PCS"), metric("PCS", "", "UINT16")),
        *(metric("E", "A", scale_register="-dec"), metric("dec", "", "UINT16", bits=(0, 2))),
        *(metric("U", "V", scale_register="unsigned"), metric("unsigned", "", "UINT16")),
        *(metric("CT", "", "UINT16"), metric("PT", "", "UINT16"), metric("Sec", "", "UINT16")),
    ),
    ct_ratio="CT/Sec",
    pt_ratio="PT",
)


def test_scale_registers_hold_what_is_usual_for_the_unit_and_ratios_are_one() -> None:
    assert registers(SUNSPEC) == {
        **{"V_SF": -1, "A_SF": -2, "W_SF": 0, "F65": 0b01_010, "PCS": 10, "dec": 1, "unsigned": 0},
        **{"CT": 1, "PT": 1, "Sec": 1},
    }


def test_the_scale_of_a_metric_is_that_of_its_registers() -> None:
    scales = {one.name: one.scale for one in settled(SUNSPEC, registers(SUNSPEC)).metrics}
    assert (scales["V"], scales["A"], scales["W"]) == (0.1, 0.01, 1)
    assert (scales["Wh"], scales["I"], scales["E"], scales["U"]) == (10, 0.1, 0.1, 1)
    assert all(not one.scale_register for one in settled(SUNSPEC, registers(SUNSPEC)).metrics)


@pytest.mark.parametrize("held", [None, 99, "x"])
def test_a_register_that_says_nothing_leaves_the_scale_of_the_map(held: Value) -> None:
    found = settled(SUNSPEC, {**registers(SUNSPEC), "V_SF": held})
    assert (found.metrics[0].scale, found.metrics[0].scale_register) == (1, "")


def test_a_map_without_such_registers_stays_as_it_is() -> None:
    plain = RegisterMap("any", (metric("W", "W"),))
    assert settled(plain, registers(plain)).metrics == plain.metrics
    assert registers(plain) == {}


def test_bit_fields_of_one_register_are_served_together() -> None:
    fields = RegisterMap(
        "any",
        (
            Metric("low", 7, 1, DataType.UINT16, bits=(0, 3)),
            Metric("high", 7, 1, DataType.UINT16, bits=(8, 15)),
            Metric("next", 8, 1, DataType.UINT16),
        ),
    )
    meter = Simulator(fields, clock=lambda: 0.0, fixed={"low": 5, "high": 0xAB, "next": 1})
    assert meter.answer(1, 3, 7, 2) == bytes.fromhex("AB05 0001")
