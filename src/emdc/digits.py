"""How many digits of a value mean anything, and rounding to them.

A register of 2^-16 V steps says nothing beyond the sixth decimal, and a FLOAT32 nothing beyond its
shortest decimal form; more digits cost space and look like a precision that no meter has.
Values travel unrounded and are rounded where they leave: when stored and when shown.
Pure: no clock, no disk, no network.
"""

import math
from collections.abc import Callable, Sequence
from operator import itemgetter
from struct import Struct
from typing import Any, Final, Literal, TypeAlias

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

    The row has as many values as `digits`; texts, integers and None pass through. Places of equal
    digits are rounded together: a call for each value would cost more than the rounding.
    """
    groups, order = _groups(digits)
    steps = [(_picker(indexes), *_ways(kind)) for kind, indexes in groups]
    back = None if order == sorted(order) else _picker([order.index(i) for i in range(len(order))])

    def round_row(values: Sequence[object]) -> list[object]:
        row: list[object] = []
        for pick, together, alone in steps:
            part = pick(values)
            try:
                row += together(part)
            except (TypeError, ValueError, OverflowError):
                row += [alone(value) if type(value) is float else value for value in part]
        return row if back is None else list(back(row))

    return round_row


_RUNS: Final = 12
"""So many groups of neighbours cost less than to bring values of equal digits together."""


def _groups(digits: Sequence[Digits]) -> tuple[list[tuple[Digits, list[int]]], list[int]]:
    """Places by their digits, and the places in the order of the groups."""
    runs: list[tuple[Digits, list[int]]] = []
    equal: dict[Digits, list[int]] = {}
    for index, kind in enumerate(digits):
        if not runs or runs[-1][0] != kind:
            runs.append((kind, []))
        runs[-1][1].append(index)
        equal.setdefault(kind, []).append(index)
    groups = runs if len(runs) <= _RUNS else list(equal.items())
    return groups, [index for _, indexes in groups for index in indexes]


_Together: TypeAlias = Callable[[Sequence[Any]], list[float]]
_Alone: TypeAlias = Callable[[float], float]
# Added to a double and taken off again it leaves the nearest whole number, ties to even: 1.5 · 2^52
# has no room for a fraction. Good for numbers below 2^51.
_NO_FRACTION: Final = 6755399441055744.0
_ROOM: Final = 2.0**51
_FLOATS: Final = {float}


def _ways(kind: Digits) -> tuple[_Together, _Alone]:
    """To round many floats at once, which raises when one of them needs care, and one alone."""
    if kind is None:
        return list, float
    if kind == "float32":
        return _shortest_together, shortest_float32
    return _fixed_together(kind), _fixed(kind)


def _picker(indexes: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    first, last = indexes[0], indexes[-1]
    if list(indexes) == list(range(first, last + 1)):
        return itemgetter(slice(first, last + 1))
    return itemgetter(*indexes)


def _shortest_together(values: Sequence[Any]) -> list[float]:
    """As `shortest_float32` of each: the same steps without a call, for the usual numbers."""
    if set(map(type, values)) != _FLOATS:
        raise TypeError
    shortest = []
    for value in values:
        mantissa, exponent = math.frexp(value)
        limit, seven, eight = _USUAL.get(exponent, _NOT_USUAL)
        found = (value * seven + _NO_FRACTION - _NO_FRACTION) / seven
        if not -limit < found - value < limit:
            found = (value * eight + _NO_FRACTION - _NO_FRACTION) / eight
            if not -limit < found - value < limit or mantissa * mantissa == 0.25:
                found = shortest_float32(value)
        elif mantissa * mantissa == 0.25:
            found = shortest_float32(value)
        shortest.append(found)
    return shortest


# Half a unit in the last place and the factors that leave seven and eight digits, by exponent; zero
# and what is not finite have the exponent 0, and a difference to themselves that is none.
_USUAL: Final = {
    e: (_HALF_ULP[e], _SEVEN[e], 10 * _SEVEN[e]) for e in _HALF_ULP if 1.0 <= _SEVEN[e] <= _EXACT
}
_NOT_USUAL: Final = (0.0, 1.0, 1.0)


def _fixed_together(decimals: int) -> _Together:
    factor = 10.0**decimals
    most = _ROOM / factor

    def fixed(values: Sequence[Any]) -> list[float]:
        # Their hypotenuse is longer than each of them, and one call.
        if set(map(type, values)) != _FLOATS or not math.hypot(*values) < most:
            raise ValueError
        return [(value * factor + _NO_FRACTION - _NO_FRACTION) / factor for value in values]

    return fixed


def _fixed(decimals: int) -> _Alone:
    factor = 10.0**decimals

    def fixed(value: float) -> float:
        scaled = value * factor
        # Beyond 2^53 every double is whole, and the product may have lost its last digits.
        return round(scaled) / factor if abs(scaled) < 9007199254740992.0 else value

    return fixed
