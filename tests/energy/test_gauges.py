from collections.abc import Sequence
from typing import Any

import pytest

from emdc.energy.gauges import NOTHING, columns, gauge_stats, half_minutes, halved


def test_a_column_is_summed_up() -> None:
    found = gauge_stats((3, 1.5, 2.0))
    assert found == (3, 6.5, 1.5, 3, 3, 2.0, True)
    assert found.mean == 2.16666666667


@pytest.mark.parametrize("column", [(3, None, "x", 1.5, "2"), (None, 3, 1.5, 2, None)])
def test_gaps_and_texts_are_left_out(column: Sequence[Any]) -> None:
    assert gauge_stats(column) == (3, 6.5, 1.5, 3, 3, 2, False)


@pytest.mark.parametrize("column", [(), (None, None), ("x",)])
def test_nothing_is_nothing(column: Sequence[Any]) -> None:
    assert gauge_stats(column) == NOTHING
    assert NOTHING.mean is None


def test_the_mean_of_one_value_is_that_value() -> None:
    value = 0.1 + 0.2
    assert gauge_stats((value, value, value)).mean == value


def test_rows_of_any_length_are_columns() -> None:
    assert list(columns([[1, 2], [3, 4]], 2)) == [(1, 3), (2, 4)]
    assert list(columns([[1], [3, 4, 5]], 2)) == [(1, 3), (None, 4)]
    assert list(columns([], 2)) == [(), ()]


def seconds(column: Sequence[Any]) -> tuple[Any, Any]:
    return halved(column, half_minutes([1800.0 + n for n in range(len(column))]))


def test_half_minutes_and_their_cell_agree() -> None:
    column = [n / 7 for n in range(900)]
    whole, halves = seconds(column)
    plain = gauge_stats(column)
    assert whole._replace(total=0.0) == plain._replace(total=0.0)
    assert whole.mean == plain.mean
    parts = [gauge_stats(column[at : at + 30]) for at in range(0, 900, 30)]
    assert halves == [
        [part.number for part in parts],
        [part.minimum for part in parts],
        [part.maximum for part in parts],
        [part.mean for part in parts],
        [part.last for part in parts],
    ]


def test_half_minutes_with_gaps_are_those_without() -> None:
    column: list[Any] = [n / 7 for n in range(900)]
    column[30:60] = [None] * 30
    column[70] = "offline"
    whole, halves = seconds(column)
    plain = gauge_stats(column)
    assert whole._replace(total=0.0) == plain._replace(total=0.0)
    assert whole.mean == plain.mean
    assert [each[:3] for each in halves] == [
        [30, 0, 29],
        [0.0, None, 60 / 7],
        [29 / 7, None, 89 / 7],
        [2.07142857143, None, gauge_stats(column[60:90]).mean],
        [29 / 7, None, 89 / 7],
    ]


def test_a_cell_without_numbers_has_no_half_minutes() -> None:
    assert seconds([None] * 900) == (NOTHING, None)
