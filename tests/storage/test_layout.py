import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.errors import StorageError
from emdc.numerals import MAX_EXACT_INT
from emdc.reading import MeterReading, Value
from emdc.storage.layout import MeterLayout
from tests.storage.plant import METER, METRICS, NOON, reading

LAYOUT = MeterLayout(
    METER,
    meter_id=1,
    slots={"Voltage_AN": 0, "Wh_delivered": 1, "Serial": 2, "late": 5},
    digits={"Voltage_AN": 6, "Wh_delivered": None, "Serial": None, "late": "float32"},
    intervals=frozenset({1.0, 10.0}),
)
VALUES = st.none() | st.floats() | st.integers(-(2**64), 2**64) | st.text()


def vals(read: MeterReading) -> list[Value]:
    parsed: list[Value] = json.loads(LAYOUT.row(read).vals)
    return parsed


def test_values_lie_at_their_slots_rounded() -> None:
    assert vals(reading(0, (120.12345678, 7, "A1"))) == [120.123457, 7, "A1"]


def test_metrics_of_another_plan_leave_the_other_slots_null() -> None:
    late = reading(0, (0.10000000149011612,), metrics=("late",))
    assert vals(late) == [None, None, None, None, None, 0.1]
    assert LAYOUT.row(late).gaps is None


def test_order_of_names_does_not_matter() -> None:
    turned = reading(0, ("A1", 7, 120.0), metrics=METRICS[::-1])
    assert vals(turned) == [120.0, 7, "A1"]


def test_single_metric_in_the_first_slot() -> None:
    assert vals(reading(0, (120.0,), metrics=("Voltage_AN",))) == [120.0]


def test_gaps_are_slots_by_reason() -> None:
    gaps = {"Serial": "exception:2", "Voltage_AN": "exception:2"}
    row = LAYOUT.row(reading(0, (None, 7, None), gaps=gaps))
    assert json.loads(row.gaps or "") == {"exception:2": [0, 2]}


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_not_a_number_becomes_a_gap(wrong: float) -> None:
    row = LAYOUT.row(reading(0, (wrong, 7, "A1")))
    assert (row.vals, row.gaps) == ('[null,7,"A1"]', '{"decode_error":[0]}')


def test_null_without_a_reason_gets_one() -> None:
    row = LAYOUT.row(reading(0, (1.0, None, "A1")))
    assert row.gaps == '{"internal_error":[1]}'


def test_reason_is_stronger_than_a_value() -> None:
    row = LAYOUT.row(reading(0, gaps={"Voltage_AN": "out_of_range"}))
    assert (row.vals, row.gaps) == ('[null,7,"A1"]', '{"out_of_range":[0]}')


def test_text_with_the_word_null_stays_a_text() -> None:
    row = LAYOUT.row(reading(0, (1.0, 7, "null")))
    assert (row.vals, row.gaps) == ('[1.0,7,"null"]', None)


@pytest.mark.parametrize("sign", [1, -1])
def test_integers_beyond_a_double_are_kept_as_text(sign: int) -> None:
    exact, long = sign * MAX_EXACT_INT, sign * (MAX_EXACT_INT + 1)
    assert vals(reading(0, (1.0, exact, "A1")))[1] == exact
    assert vals(reading(0, (1.0, long, "A1")))[1] == str(long)


@given(VALUES, VALUES, VALUES)
def test_each_metric_has_a_value_or_a_reason(one: Value, two: Value, three: Value) -> None:
    values = (one, two, three)
    row = LAYOUT.row(reading(0, values))
    slots = {slot for group in json.loads(row.gaps or "{}").values() for slot in group}
    stored = json.loads(row.vals, parse_constant=pytest.fail)
    assert {slot for slot, value in enumerate(stored) if value is None} == slots
    for slot, value in enumerate(values):
        if isinstance(value, str | int):
            assert str(stored[slot]) == str(value)


@pytest.mark.parametrize(
    ("metrics", "values"),
    [(("nobody",), (1.0,)), (("late", "late"), (1.0, 1.0)), ((), ()), (METRICS, (1.0,))],
)
def test_readings_that_do_not_fit_are_refused(
    metrics: tuple[str, ...], values: tuple[Value, ...]
) -> None:
    with pytest.raises(StorageError, match=r"fit|expected"):
        LAYOUT.row(reading(0, values, metrics=metrics))


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(StorageError, match="reading of"):
        LAYOUT.row(reading(0, (1.0, 7, "\ud800")))


def test_tick_without_a_zone_is_refused() -> None:
    naive = MeterReading(METER, NOON.replace(tzinfo=None), NOON, METRICS, (1.0, 7, "A1"), {})
    with pytest.raises(StorageError, match="no time zone"):
        LAYOUT.row(naive)
