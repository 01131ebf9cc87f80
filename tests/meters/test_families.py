import pytest

from emdc.meters import library
from emdc.meters.families import FAMILIES, base_unit, measured


@pytest.mark.parametrize(
    ("name", "family", "place"),
    [
        ("Voltage_AN", "Voltage", "AN"),
        ("Voltage_LN_avg", "Voltage", "LN"),
        ("V_L1", "Voltage", "A"),
        ("I_B", "Current", "B"),
        ("Current_total", "Current", ""),
        ("W", "W", ""),
        ("W_A", "W", "A"),
        ("kVAR_C", "VAR", "C"),
        ("pf_displacement_A", "pf", "A"),
        ("frequency", "freq", ""),
        ("Wh_delivered_B", "Wh", "B"),
        ("kWh", "Wh", ""),
        ("Wh_delivered_fine", "Wh", ""),
    ],
)
def test_a_name_says_family_and_place(name: str, family: str, place: str) -> None:
    found = measured(name)
    assert found.family == FAMILIES[family]
    assert (found.place, found.is_plain, found.by_name) == (place, True, True)


@pytest.mark.parametrize(
    "name", ["W_demand_max", "Voltage_NG", "Current_imbalance", "Wh_net", "Current_N", "VARh_Q1"]
)
def test_what_is_no_ordinary_value_of_its_family_is_known_as_such(name: str) -> None:
    assert measured(name).family is not None
    assert not measured(name).is_plain


@pytest.mark.parametrize("name", ["Serial", "PT_numerator", "", "I", "Vendor", "V"])
def test_a_name_that_says_nothing_has_no_family(name: str) -> None:
    assert measured(name).family is None


def test_an_unknown_name_is_understood_by_its_unit() -> None:
    found = measured("Leistung", "kW")
    assert found.family == FAMILIES["W"]
    assert not found.by_name
    assert not found.is_plain


@pytest.mark.parametrize(
    ("unit", "base"),
    [
        ("V", ("V", 1)),
        ("kV", ("V", 1e3)),
        ("MW", ("W", 1e6)),
        ("mA", ("A", 1e-3)),
        ("kvar", ("VAR", 1e3)),
        ("kWh", ("Wh", 1e3)),
        ("°", ("deg", 1)),
        ("%", ("%", 1)),
        ("", ("", 1)),
        ("furlong", ("furlong", 1)),
    ],
)
def test_a_unit_has_a_base_and_a_factor(unit: str, base: tuple[str, float]) -> None:
    assert base_unit(unit) == base


def test_the_names_of_the_shipped_maps_agree_with_their_units() -> None:
    for name, _ in library.names():
        for metric in library.find(name, unverified=True).metrics:
            what = measured(metric.name, metric.unit)
            if what.by_name and what.is_plain and what.family:
                assert base_unit(metric.unit)[0] == what.family.unit, (name, metric)
