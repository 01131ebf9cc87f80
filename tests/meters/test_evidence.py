"""Each question for or against a map: what answers it well, what badly, and what not at all."""

from collections.abc import Mapping

import pytest

from emdc.meters import library
from emdc.meters.evidence import RULES, Evidence
from emdc.meters.look import MOST, Look, believable, chosen, telltales
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.score import ENOUGH, FITS, Score, weigh

PHASES = {"Voltage_AN": 230.0, "Voltage_BN": 231.0, "Voltage_CN": 229.0}
GOOD: dict[str, Mapping[str, float]] = {
    "_frequency": {"freq": 49.98},
    "_voltages": PHASES,
    "_line_voltages": {**PHASES, "Voltage_AB": 399, "Voltage_BC": 398, "Voltage_CA": 400},
    "_sums": {"W_A": 100.0, "W_B": 250.0, "W_C": -50.0, "W": 300.0},
    "_triangles": {"W": 3000.0, "VAR": -4000.0, "VA": 5000.0},
    "_products": {"Voltage_AN": 230.0, "Current_A": 10.0, "VA_A": 2310.0},
    "_power_factors": {"pf": -0.6, "W": 3000.0, "VA": 5000.0},
    "_steady": {**PHASES, "freq": 50.0},
    "_counters": {"Wh_delivered": 12345.0},
}
BAD: dict[str, Mapping[str, float]] = {
    "_frequency": {"freq": 5001.0},
    "_voltages": {"Voltage_AN": 3.1e7, "Voltage_BN": -4.0, "Voltage_CN": 0.002},
    "_line_voltages": {**PHASES, "Voltage_AB": 230, "Voltage_BC": 231, "Voltage_CA": 229},
    "_sums": {"W_A": 100.0, "W_B": 250.0, "W_C": -50.0, "W": 900.0},
    "_triangles": {"W": 3000.0, "VAR": -4000.0, "VA": 9000.0},
    "_products": {"Voltage_AN": 230.0, "Current_A": 10.0, "VA_A": 231.0},
    "_power_factors": {"pf": 0.9, "W": 3000.0, "VA": 5000.0},
    "_counters": {"Wh_delivered": -5.0},
    "_odd": {"W": 1.2e-38, "VA": 3.0, "VAR": 4.0},
}
SILENT: dict[str, Mapping[str, float]] = {
    "_frequency": {"W": 1.0},
    "_voltages": {"W": 1.0},
    "_line_voltages": PHASES,
    "_sums": dict.fromkeys(("W_A", "W_B", "W_C", "W"), 0.0),
    "_triangles": dict.fromkeys(("W", "VAR", "VA"), 0.0),
    "_products": {"Voltage_AN": 0.0, "Current_A": 0.0, "VA_A": 0.0},
    "_power_factors": {"pf": 0.0, "W": 0.0, "VA": 0.0},
    "_steady": {"W": 3000.0},
    "_counters": {"Wh_delivered": 0.0},
    "_odd": {"freq": 50.0, "Voltage_AN": 230.0, "Voltage_BN": 230.0, "Voltage_CN": 230.0},
    "_missing": {"W": 1.0},
}
UNITS = {"Wh_delivered": "Wh"}
QUESTIONS = {rule.__name__: rule for rule in RULES}


def metrics(names: Mapping[str, float]) -> list[Metric]:
    return [
        Metric(name, 2 * index, 2, DataType.FLOAT32, unit=UNITS.get(name, ""))
        for index, name in enumerate(names)
    ]


def answers(rule: str, values: Mapping[str, float]) -> list[Evidence]:
    return list(QUESTIONS[rule](Look(metrics(values), values, values)))


def test_every_question_is_asked_here() -> None:
    assert set(QUESTIONS) == set(GOOD) | {"_odd", "_missing"} == set(SILENT)


@pytest.mark.parametrize("rule", GOOD)
def test_what_is_right_earns_all_points(rule: str) -> None:
    found = answers(rule, GOOD[rule])
    assert found
    assert all(one.points == one.of > 0 for one in found)


@pytest.mark.parametrize("rule", BAD)
def test_what_is_wrong_earns_none(rule: str) -> None:
    found = answers(rule, BAD[rule])
    assert found
    assert all(one.points == 0 < one.of for one in found)


@pytest.mark.parametrize("rule", SILENT)
def test_what_tells_nothing_counts_for_nothing(rule: str) -> None:
    assert answers(rule, SILENT[rule]) == []


def test_units_with_a_prefix_are_compared_in_the_base_unit() -> None:
    values = {"W": 3.0, "VAR": 4000.0, "VA": 5000.0}
    kilo = [Metric("W", 0, 2, DataType.FLOAT32, unit="kW"), *metrics(values)[1:]]
    (found,) = QUESTIONS["_triangles"](Look(kilo, values, values))
    assert found.points == found.of


def test_values_that_jump_or_counters_that_fall_count_against_it() -> None:
    first, later = {"Voltage_AN": 230.0, "Wh_delivered": 500.0}, {"Voltage_AN": 12.0}
    (jump,) = QUESTIONS["_steady"](Look(metrics(first), first, later))
    assert jump.points == 0
    fallen = {"Wh_delivered": 499.0}
    (fall,) = QUESTIONS["_counters"](Look(metrics(first), first, fallen))
    assert fall.points == 0


def test_missing_values_and_everything_the_same_count_against_it() -> None:
    wanted = metrics(GOOD["_sums"])
    (found,) = QUESTIONS["_missing"](Look(wanted, {"W": 1.0}, {}))
    assert (found.points, found.of, found.text) == (0, 3, "3 of 4 values are missing")
    for number in (0.0, 65535.0):
        (found,) = answers("_odd", dict.fromkeys(("W", "VA", "VAR", "freq"), number))
        assert (found.points, found.of >= 9) == (0, True)


# The score


def whole(**changed: float) -> Score:
    """All that is right together, with something changed."""
    values = {
        **PHASES,
        **{"freq": 50.0, "W_A": 1000.0, "W_B": 1100.0, "W_C": 900.0, "W": 3000.0},
        **{"VAR": 4000.0, "VA": 5000.0, "pf": 0.6},
    } | changed
    return weigh(metrics(values), values, values)


def test_a_good_reading_fits() -> None:
    assert whole().percent == 100
    assert (whole().fits, whole().verdict) == (True, "fits")


def test_one_wrong_value_costs_what_it_weighs_and_is_named() -> None:
    found = whole(VA=9000.0)
    assert found.percent < 90
    assert found.reasons[-1].startswith("- ")
    assert any("the meter says 9000" in reason for reason in found.reasons)


def test_nothing_at_all_is_no_evidence() -> None:
    assert (Score().percent, Score().points, Score().verdict) == (0, 0, "no")


def test_the_limits_of_the_verdicts() -> None:
    def score(points: float, of: float) -> str:
        return Score((Evidence(points, of, ""),)).verdict

    assert score(FITS, 100) == "fits"
    assert score(FITS - 1, 100) == "perhaps"
    assert score(59, 100) == "no"
    assert score(ENOUGH, ENOUGH) == "fits"
    assert score(ENOUGH - 1, ENOUGH - 1) == "too little"


def test_of_two_that_fit_the_one_with_more_evidence_ranks_higher() -> None:
    few, many = Score((Evidence(20, 20, ""),)), Score((Evidence(58, 60, ""),))
    assert few.percent > many.percent
    assert many.rank > few.rank


# What is looked at


@pytest.mark.parametrize(("name", "_origin"), library.names())
def test_the_telltales_of_a_map_are_among_its_chosen_metrics(name: str, _origin: str) -> None:
    found = library.find(name).metrics
    worth = chosen(found)
    assert 0 < len(worth) <= MOST
    assert 1 <= len(telltales(found)) <= 3
    assert set(map(id, telltales(found))) <= set(map(id, worth))


def test_texts_bits_and_shares_are_not_looked_at() -> None:
    found = RegisterMap(
        "m",
        (
            Metric("Model", 0, 4, DataType.STRING, kind="text"),
            Metric("W", 0, 1, DataType.UINT16, function_code=1),
            Metric("THD_V_AN", 9, 1, DataType.UINT16, unit="%"),
            Metric("W_demand_max", 9, 2, DataType.FLOAT32, unit="W"),
            Metric("Wh_delivered_A", 9, 2, DataType.UINT32, unit="Wh", kind="counter"),
            Metric("Leistung", 20, 2, DataType.FLOAT32, unit="W"),
        ),
    )
    assert [metric.name for metric in chosen(found.metrics)] == ["Leistung"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("freq", 50.0, True),
        ("freq", 0, False),
        ("freq", None, False),
        ("freq", 5000.0, False),
        ("Voltage_AN", 1e-30, False),
        ("W", -4000.0, True),
        ("W", 1e13, False),
        ("W", "text", False),
    ],
)
def test_a_value_alone_is_believable_or_not(name: str, value: float, expected: bool) -> None:
    assert believable(Metric(name, 0, 2, DataType.FLOAT32), value) is expected
