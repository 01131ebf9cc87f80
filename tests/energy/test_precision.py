from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdc.energy.precision import number, rise, share, total, twelve


@pytest.mark.parametrize(
    ("before", "after", "energy"),
    [
        (53700.12, 53700.15, 0.03),
        (99999.9, 100000.5, 0.6),
        (10**16, 10**16 + 1, 1),
        (2**64 - 1, 2**64 + 1, 2),
        (0, 0.3, 0.3),
        (-0.1, 0.2, 0.3),
        (1e14, 1e14 + 8, 8.0),
    ],
)
def test_a_rise_has_the_decimals_of_its_registers(
    before: float, after: float, energy: float
) -> None:
    assert rise(before, after) == energy


@settings(max_examples=40, derandomize=True)
@given(
    raw=st.lists(st.integers(0, 10**14), min_size=2, max_size=9).map(sorted),
    digits=st.integers(0, 9),
)
def test_rises_add_up_exactly(raw: list[int], digits: int) -> None:
    values = [each / 10**digits for each in raw]
    rises = [rise(a, b) for a, b in pairwise(values)]
    whole = Decimal(raw[-1] - raw[0]).scaleb(-digits)
    assert sum(map(Decimal, map(repr, rises))) == whole
    assert total(rises) == float(whole)


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        ("9007199254740993", 9007199254740993),
        ("-12", -12),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("NaN", None),
        ("inf", None),
        ("9" * 400, None),
        ("offline", None),
        ("", None),
        ("²", None),
        (None, None),
        (7, 7),
        (7.5, 7.5),
    ],
)
def test_a_stored_value_is_a_number_or_none(stored: object, found: float | None) -> None:
    assert number(stored) == found
    assert type(number(stored)) is type(found)


def test_a_mean_has_twelve_digits() -> None:
    assert twelve(1 / 3) == 0.333333333333
    assert twelve(123456789.123456) == 123456789.123


def test_a_share_has_the_decimals_of_its_register() -> None:
    assert share(1, 1 / 3, height=53700.0) == 0.3333333333
    assert share(1, 1 / 3, height=0.5) == 0.333333333333333
    assert share(100, 1 / 3, height=10**16) == 33.333
