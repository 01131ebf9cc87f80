"""Signs that a meter's setting turns."""

import pytest

from emdc.meters.invert import inverted
from emdc.meters.register_map import DataType, Metric, RegisterMap


def metric(name: str, unit: str = "", **fields: object) -> Metric:
    return Metric(name, 0, 1, DataType.INT16, unit=unit, **fields)  # type: ignore[arg-type]


MAP = RegisterMap(
    "any",
    (
        metric("W", "W", scale=0.1, offset=5, minimum=-100, maximum=200),
        metric("VAR_A", "var"),
        metric("P", "kW"),
        metric("pf_A"),
        metric("total_pf"),
        metric("VA", "VA"),
        metric("Current_A", "A"),
        metric("Wh_delivered", "Wh", kind="counter"),
        metric("pf", code="f8_pf"),
        metric("Alarm", bits=(0, 0)),
        Metric("Serial", 0, 4, DataType.STRING, kind="text"),
        Metric("Relay", 0, 1, DataType.UINT16, function_code=1),
    ),
)


def turned(*names: str) -> set[str]:
    found = inverted(MAP, names)
    return {one.name for one, old in zip(found.metrics, MAP.metrics, strict=True) if one.scale < 0}


def test_power_means_signed_powers_and_power_factors() -> None:
    assert turned("power") == {"W", "VAR_A", "P", "pf_A", "total_pf"}


def test_single_metrics_are_turned_by_name() -> None:
    assert turned("VA", "Current_A") == {"VA", "Current_A"}
    assert turned("power", "W", "VA") == {"W", "VAR_A", "P", "pf_A", "total_pf", "VA"}
    assert inverted(MAP, ()) is MAP


def test_the_whole_value_is_turned_with_its_limits() -> None:
    old, new = MAP.metrics[0], inverted(MAP, ("W",)).metrics[0]
    assert (new.scale, new.offset, new.minimum, new.maximum) == (-0.1, -5, -200, 100)
    assert new.digits() == old.digits()
    assert inverted(MAP, ("VAR_A",)).metrics[1].scale == -1


def test_meters_that_are_set_alike_share_one_map() -> None:
    assert inverted(MAP, ("power",)) is inverted(MAP, ("power",))


def test_a_float_keeps_its_digits() -> None:
    one = Metric("W", 0, 2, DataType.FLOAT32, unit="W")
    found = inverted(RegisterMap("any", (one,)), ("power",))
    assert found.metrics[0].digits() == "float32"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Watt", "no metric 'Watt' in the map any"),
        ("powr", "no metric 'powr' in the map any (did you mean power?)"),
        ("Wh_delivered", "Wh_delivered is a counter, which only grows"),
        ("pf", "pf is the magnitude of a power factor, without a sign"),
        ("Serial", "Serial is a text"),
        ("Alarm", "Alarm is made of single bits"),
        ("Relay", "Relay is made of single bits"),
    ],
)
def test_what_has_no_sign_cannot_be_turned(name: str, problem: str) -> None:
    with pytest.raises(ValueError, match="invert: ") as caught:
        inverted(MAP, (name,))
    assert problem in str(caught.value)
