import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.cli.csvfile import instant_cell, instant_of, topic_of, value_of
from emdc.csvcells import text_cell, value_cell
from emdc.numerals import MAX_EXACT_INT
from emdc.reading import Value

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text(st.sampled_from("'=+-@\t\r\n 0123456789.eE"), max_size=8),
)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS))
def test_a_value_comes_back_through_a_file(value: Value) -> None:
    stored = str(value) if isinstance(value, int) and abs(value) > MAX_EXACT_INT else value
    file = io.StringIO(newline="")
    csv.writer(file).writerow(["t", value_cell(stored)])
    (row,) = csv.reader(io.StringIO(file.getvalue(), newline=""), strict=True)
    back = value_of(row[1], is_text=False)
    is_long = isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) > 15
    assert is_long or (back, type(back)) == (value, type(value))
    if isinstance(value, str):
        assert value_of(row[1], is_text=True) == value


@pytest.mark.parametrize(
    ("ts", "cell"),
    [
        ("2026-03-01 12:00:00.000000", "2026-03-01T12:00:00Z"),
        ("2026-03-01 12:00:00.250000", "2026-03-01T12:00:00.250000Z"),
    ],
)
def test_an_instant_is_iso_8601_and_comes_back(ts: str, cell: str) -> None:
    assert instant_cell(ts) == cell
    assert instant_of(cell) == ts
    assert instant_of(ts) == ts


@pytest.mark.parametrize(
    ("cell", "ts"),
    [
        ("2026-03-01T04:00:00-08:00", "2026-03-01 12:00:00.000000"),
        ("2026-03-01 12:00Z", "2026-03-01 12:00:00.000000"),
        ("2026-03-01 12:00:00.25+00:00", "2026-03-01 12:00:00.250000"),
        ("2026-03-01T12:00:00.250000000Z", "2026-03-01 12:00:00.250000"),
    ],
)
def test_an_instant_of_any_zone_is_utc(cell: str, ts: str) -> None:
    assert instant_of(cell) == ts


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("2026-03-01T12:00:00", "no time zone, expected UTC such as"),
        ("2026-03-01 12:00:00", "no time zone"),
        ("2026-03-01", "no time zone"),
        ("2026-03-01T12:00:00.000000", "no time zone"),
        ("noon", "'noon', expected UTC"),
        ("ozone", "'ozone', expected UTC"),
        ("2026-03-01T12:00:00.0000001Z", "finer than microseconds, expected UTC"),
        ("", "'', expected UTC"),
        ("0000-01-01T00:00:00Z", "expected UTC"),
        ("0001-01-01T00:00:00+01:00", "beyond the calendar"),
        ("1772366400", "expected UTC"),
    ],
)
def test_what_is_no_instant_is_refused(cell: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        instant_of(cell)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", "empty, expected a number or a text"),
        ("NaN", "'NaN', expected a finite number"),
        ("-inf", "expected a finite number"),
        ("1e999", "'1e999', expected a number below"),
        ("a\0b", "a NUL character"),
    ],
)
def test_what_is_no_value_is_refused(cell: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        value_of(cell, is_text=False)


@pytest.mark.parametrize("digits", [309, 400, 401])
def test_an_integer_is_exact_however_many_digits_it_has(digits: int) -> None:
    cell = "9" * digits
    assert str(value_of(text_cell(cell), is_text=False)) == cell


def test_a_topic_loses_its_mark_and_is_not_empty() -> None:
    assert topic_of("'=cmd|x!A0/W") == "=cmd|x!A0/W"
    with pytest.raises(ValueError, match="empty"):
        topic_of("")
    with pytest.raises(ValueError, match="empty"):
        topic_of("'")
