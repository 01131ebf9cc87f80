"""How exactly registers, differences of them and means are written.

A double holds 15 decimal digits, so registers are taken as the decimals that they are written as:
53700.15 - 53700.12 is 0.03 and not 0.0299999999988. Differences made so add up exactly.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Final

_DIGITS: Final = 15
_SHARE_PLACES: Final = 3
"""Shares of a step are never coarser, however long the register is."""


def twelve(value: float) -> float:
    """The value with twelve significant digits, for means."""
    return float(f"{value:.12g}")


def number(value: object) -> float | None:
    """The number that a stored value is: itself, or a numeric text; None for all else.

    Integers beyond 2^53 are stored as text and stay exact.
    """
    if isinstance(value, str):
        try:
            found: float = int(value) if value.lstrip("+-").isdecimal() else float(value)
            return found if isfinite(found) else None
        except (ValueError, OverflowError):  # no number, or more than a double holds
            return None
    return value if isinstance(value, int | float) else None


def rise(before: float, after: float) -> float:
    """What a register rose, by the decimals that both values show; exact between integers."""
    if type(before) is int and type(after) is int:
        return after - before
    return float(Decimal(f"{after:.{_DIGITS}g}") - Decimal(f"{before:.{_DIGITS}g}"))


def total(parts: Sequence[float]) -> float:
    """The sum of rises and shares as if they were added up on paper."""
    if len(parts) == 1:
        return float(parts[0])
    return float(sum(map(Decimal, map(repr, parts))))


def share(energy: float, part: float, *, height: float) -> float:
    """A part of what was counted in a step, on the decimals that a register so high can have."""
    exponent = f"{height:e}".partition("e")[2]
    return round(energy * part, max(_DIGITS - 1 - int(exponent), _SHARE_PLACES))
