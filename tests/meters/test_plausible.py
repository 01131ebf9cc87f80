import pytest

from emdc.meters.plausible import OK, marks
from emdc.reading import Kind, Topic, Value


def mark(name: str, value: Value, unit: str = "", kind: Kind = "gauge") -> str:
    """The mark of one value alone."""
    return marks([Topic(name, unit, kind)], {name: value})[name]


def phases(**values: float) -> dict[str, str]:
    return marks([Topic(name, name.partition("_")[0]) for name in values], values)


@pytest.mark.parametrize(
    ("name", "unit", "value"),
    [
        ("Voltage_AN", "V", 277.8),
        ("Voltage_AN", "V", 20),
        ("Voltage_AN", "V", 20_000.0),
        ("Voltage_AN", "kV", 7.2),
        ("Voltage_NG", "V", 0.2),
        ("freq", "Hz", 59.98),
        ("freq", "", 50.0),
        ("pf_A", "", -0.98),
        ("pf", "", 1.0),
        ("Angle_V_BN", "deg", -120.0),
        ("Current_N", "A", 0.0),
        ("W", "W", -5000.0),
        ("Serial", "", "EIG-1"),
        ("Status", "", 65535),
    ],
)
def test_what_a_meter_can_say_is_ok(name: str, unit: str, value: Value) -> None:
    assert mark(name, value, unit) == OK


@pytest.mark.parametrize(
    ("name", "unit", "value", "expected"),
    [
        ("Voltage_AN", "V", 0.0, "zero"),
        ("Voltage_AN", "V", 0.004, "expected 20 to 20000 V"),
        ("Voltage_AN", "V", 18_206_000.0, "expected 20 to 20000 V"),
        ("Voltage_AN", "V", -277.0, "expected 20 to 20000 V"),
        ("Voltage_AN", "kV", 277.0, "expected 20 to 20000 V"),
        ("freq", "Hz", 6001.2, "expected 45 to 65 Hz"),
        ("freq", "Hz", 0, "zero"),
        ("pf", "", 94.6, "expected -1 to 1"),
        ("Angle_I_A", "deg", 1188.0, "expected -360 to 360 deg"),
        ("Current_A", "A", -27.0, "expected 0 to 100000 A"),
        ("VA", "VA", -1.0, "expected 0 to 1e+09 VA"),
        ("W", "W", 3e12, "expected -1e+09 to 1e+09 W"),
        ("Something", "", 1e20, "absurdly large"),
    ],
)
def test_what_no_meter_says_is_marked(name: str, unit: str, value: Value, expected: str) -> None:
    assert mark(name, value, unit) == expected


def test_a_counter_is_never_negative_and_may_be_large() -> None:
    assert mark("Wh_delivered", -1, "Wh", "counter") == "negative counter"
    assert mark("Wh_delivered", 3_081_893_100, "Wh", "counter") == OK


def test_a_value_that_is_missing_has_no_mark() -> None:
    assert marks([Topic("W", "W")], {"W": None}) == {}


def test_w_and_var_that_make_va_are_ok() -> None:
    assert set(phases(W=3000.0, VAR=4000.0, VA=5000.0).values()) == {OK}


def test_va_may_be_a_little_off() -> None:
    assert phases(W=3000.0, VAR=4000.0, VA=5249.0)["VA"] == OK
    assert phases(W=3000.0, VAR=4000.0, VA=4751.0)["VA"] == OK


def test_va_that_w_and_var_do_not_make_is_marked() -> None:
    found = phases(W=3000.0, VAR=4000.0, VA=9000.0)
    assert found == {"W": OK, "VAR": OK, "VA": "W and VAR make 5000 VA"}


def test_each_phase_is_a_triangle_of_its_own() -> None:
    assert phases(W_B=3.0, VAR_B=4.0, VA_B=50.0)["VA_B"] == "W and VAR make 5 VA"


def test_a_total_that_its_phases_do_not_make_is_marked() -> None:
    found = phases(W_A=1000.0, W_B=1000.0, W_C=1000.0, W=1732.0)
    assert found["W"] == "the phases make 3000 W"
    assert found["W_A"] == OK


def test_phases_of_different_sign_add_up() -> None:
    assert phases(W_A=1000.0, W_B=-990.0, W_C=0.0, W=12.0)["W"] == OK


def test_everything_at_zero_is_ok() -> None:
    assert set(phases(W=0.0, VAR=0.0, VA=0.0, W_A=0.0, W_B=0.0, W_C=0.0).values()) == {OK}


def test_a_range_is_named_rather_than_a_sum() -> None:
    assert phases(W=3000.0, VAR=4000.0, VA=-9000.0)["VA"].startswith("expected")
