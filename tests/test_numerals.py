import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.numerals import is_not_finite, number, spelled


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_is_read_from_its_shortest_spelling(value: float) -> None:
    text = spelled(value)
    assert (number(text), type(number(text))) == (value, type(value))


@pytest.mark.parametrize("text", ["007", "+5", "1.50", "1e5", ".5", "5.", "-0"])
def test_other_spellings_are_numbers_too(text: str) -> None:
    found = number(text)
    assert found == float(text)
    assert found is not None
    assert spelled(found) != text


@pytest.mark.parametrize("text", ["", " 5", "5 ", "1_0", "0x1F", "\uff11", "1,5", "--1", "e5", "."])
def test_what_only_looks_like_a_number_is_none(text: str) -> None:
    assert number(text) is None


def test_a_text_of_five_hundred_digits_is_no_number() -> None:
    assert number("9" * 500) is None


def test_a_number_beyond_all_is_infinite() -> None:
    assert number("-1e400") == -math.inf


@pytest.mark.parametrize("text", ["nan", "NaN", "-inf", "Infinity"])
def test_what_is_not_finite_is_told(text: str) -> None:
    assert is_not_finite(text)
    assert number(text) is None
