import math
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emdc.digits import rounder, shortest_float32

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


def as_float32(value: float) -> float:
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found


@given(FLOAT32)
@example(2.0**45)
@example(-(2.0**-103))
@example(1.401298464324817e-45)
@example(3.4028234663852886e38)
def test_the_short_form_reads_back_as_the_same_float32(value: float) -> None:
    assert as_float32(shortest_float32(value)) == value


@given(FLOAT32)
@example(72057594037927936.0)
@example(6.310887241768095e-30)
def test_the_short_form_has_no_more_digits_than_it_needs(value: float) -> None:
    short = shortest_float32(value)
    needed = next(d for d in range(1, 10) if as_float32(float(f"{value:.{d}g}")) == value)
    mantissa = repr(short).split("e")[0].replace("-", "").replace(".", "").strip("0")
    assert len(mantissa) <= max(needed, 7)


@pytest.mark.parametrize("value", [0.1, 120.3, 59.98, 1e-7, 0.95, 12345.678, 16777216.0, 1.5e20])
def test_a_decimal_that_was_stored_as_float32_comes_back(value: float) -> None:
    assert shortest_float32(as_float32(value)) == value
    assert shortest_float32(as_float32(-value)) == -value


@pytest.mark.parametrize("value", [0.0, math.inf, -math.inf, 1e300])
def test_what_has_no_short_form_stays_as_it_is(value: float) -> None:
    assert shortest_float32(value) == value


def test_nan_stays_nan() -> None:
    assert math.isnan(shortest_float32(math.nan))


def test_each_place_of_a_row_is_rounded_by_its_own_digits() -> None:
    row = rounder([2, "float32", None, 0, 3])
    values = [1.23456, as_float32(0.1), 1.23456, 2.5, -0.0004]
    assert row(values) == [1.23, 0.1, 1.23456, 2.0, 0.0]
    assert values[0] == 1.23456


def test_texts_integers_and_gaps_pass_through() -> None:
    assert rounder([2, 2, "float32", 2])(["1.2345", 12345, None, True]) == [
        "1.2345",
        12345,
        None,
        True,
    ]


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 12))
def test_rounding_moves_a_value_by_half_a_step_at_most(value: float, decimals: int) -> None:
    (rounded,) = rounder([decimals])([value])
    assert isinstance(rounded, float)
    step = 10.0**-decimals
    assert abs(rounded - value) <= step / 2 + abs(value) * 1e-15


def test_a_value_beyond_all_digits_is_left_alone() -> None:
    assert rounder([6])([1.2345678901234567e300]) == [1.2345678901234567e300]
    assert math.isnan(rounder([6])([math.nan])[0])  # type: ignore[arg-type]
