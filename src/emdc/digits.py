"""How many digits of a value mean anything, and rounding to them.

A register of 2^-16 V steps says nothing beyond the sixth decimal, and a FLOAT32 nothing beyond its
shortest decimal form; more digits cost space and look like a precision that no meter has.
Values travel unrounded and are rounded where they leave: when stored and when shown.
Pure: no clock, no disk, no network.
"""

import math
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final, Literal, TypeAlias

Digits: TypeAlias = int | Literal["float32"] | None
"""Decimals after the point, `float32` for its shortest form, or None: exact as it is."""

# Half a unit in the last place of a FLOAT32 whose exponent by math.frexp is the key: a decimal that
# lies closer than that reads back as the same FLOAT32. 24 bits of mantissa, IEEE 754 section 3.4.
_HALF_ULP: Final = {e: math.ldexp(1.0, max(e - 24, -149) - 1) for e in range(-148, 129)}
# 10^(7 - digits before the point): the factor that leaves seven significant digits as an integer.
_SEVEN: Final = {e: 10.0 ** (7 - math.ceil(e * math.log10(2))) for e in range(-148, 129)}
# Powers of ten are exact doubles up to 10^22; two more digits may follow the first seven.
_EXACT: Final = 1e20
_FLOAT32: Final = Struct("f")


def shortest_float32(value: float) -> float:
    """The double with the fewest decimal digits that reads back as the same FLOAT32.

    `value` is a FLOAT32 widened to a double; zero, NaN and infinity come back as they are.
    """
    mantissa, exponent = math.frexp(value)
    limit = _HALF_ULP.get(exponent)
    if limit is None or value == 0.0 or not math.isfinite(value):
        return value
    factor = _SEVEN[exponent]
    # The neighbour of a power of two towards zero is half as far away as the limit says.
    if abs(mantissa) == 0.5 or not 1.0 <= factor <= _EXACT:
        return _shortest_by_text(value)
    for _ in range(3):
        candidate = round(value * factor) / factor
        if abs(candidate - value) < limit:
            return candidate
        factor *= 10.0
    return value


def _shortest_by_text(value: float) -> float:
    for digits in (7, 8):
        candidate = float(f"{value:.{digits}g}")
        if _FLOAT32.unpack(_FLOAT32.pack(candidate)) == (value,):
            return candidate
    return float(f"{value:.9g}")


def rounder(digits: Sequence[Digits]) -> Callable[[Sequence[object]], list[object]]:
    """A function that rounds one row of values, each by the digits of its place.

    The row has as many values as `digits`; texts, integers and None pass through.
    """
    places = [
        (index, shortest_float32 if kind == "float32" else _fixed(kind))
        for index, kind in enumerate(digits)
        if kind is not None
    ]

    def round_row(values: Sequence[object]) -> list[object]:
        row = list(values)
        for index, rounding in places:
            value = row[index]
            if type(value) is float:
                row[index] = rounding(value)
        return row

    return round_row


def _fixed(decimals: int) -> Callable[[float], float]:
    factor = 10.0**decimals

    def fixed(value: float) -> float:
        scaled = value * factor
        # Beyond 2^53 every double is whole, and the product may have lost its last digits.
        return round(scaled) / factor if abs(scaled) < 9007199254740992.0 else value

    return fixed
