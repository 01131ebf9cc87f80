import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.csvcells import text_cell, text_of, value_cell

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text(st.sampled_from("'=+-@\t\r\n 0123456789.eE"), max_size=8),
)


@pytest.mark.parametrize("text", ["=1+1", "+A", "-A", "@SUM(A1)", "\tx", "\rx", "\nx", " =1"])
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert text_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["7", "007", "-5.0", "1e5", "+5", "1.50", "nan", "-Infinity", ""])
def test_a_text_that_would_come_back_as_another_value_gets_an_apostrophe(text: str) -> None:
    assert text_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text", ["A1", "1-5", "18446744073709551615", "-18446744073709551615", "it's", "'tis"]
)
def test_any_other_text_stands_as_it_is(text: str) -> None:
    assert text_cell(text) == text


@pytest.mark.parametrize("value", [-5.0, 5, 0.1, -(2**53), 1e308, 5e-324])
def test_a_number_is_never_touched(value: float) -> None:
    assert value_cell(value) is value


@given(TEXTS)
def test_a_text_comes_back_from_its_cell(text: str) -> None:
    assert text_of(text_cell(text)) == text


@given(TEXTS)
def test_the_cell_of_a_text_is_no_formula(text: str) -> None:
    cell = text_cell(text)
    assert cell[:1] not in tuple("=+@\t\r\n")
    assert not cell.startswith("-") or float(cell) <= 0
