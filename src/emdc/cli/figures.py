"""Numbers in a table for people: thousands grouped, the decimals of a column under each other."""

import math
from collections.abc import Sequence
from typing import Final

from emdc.reading import Value

DIGITS: Final = 9
"""Significant ones: a register of Wh has that many before a second-wise meter is old."""
NOTHING: Final = "-"

_MOST_DECIMALS: Final = 15
_HUGE: Final = 1e15


def grouped(column: Sequence[Value], digits: int = DIGITS) -> list[str]:
    """The texts of a column: at most `digits` digits of its greatest number; whole ones whole."""
    numbers = [value for value in column if isinstance(value, int | float)]
    decimals = _decimals(numbers, digits)
    return [_text(value, decimals) for value in column]


def _decimals(numbers: Sequence[float], digits: int) -> int:
    """As many as the numbers have, and no more than the digits allow."""
    floats = [number for number in numbers if isinstance(number, float) and abs(number) < _HUGE]
    greatest = max(map(abs, floats), default=0.0)
    if not greatest:
        return 0
    before_point = math.floor(math.log10(greatest)) + 1
    most = min(max(digits - before_point, 0), _MOST_DECIMALS)
    shown = [f"{number:.{most}f}".rstrip("0") for number in floats]
    return max(len(text.partition(".")[2]) for text in shown)


def _text(value: Value, decimals: int) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}" + (f".{'0' * decimals}" if decimals else "")
    return f"{value:,.{decimals}f}" if abs(value) < _HUGE else f"{value:g}"
