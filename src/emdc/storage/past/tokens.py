"""Stored values as JSON tokens, many at once.

A token is what a reading's JSON array holds in one slot, as text; engines differ in how they give
it (see `raw_values`). Joined by commas, many of them are one array, which is decoded in one call.
Pure.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import msgspec

from emdc.numerals import MAX_EXACT_INT
from emdc.reading import Value

NULL: Final = "null"

_LONGEST: Final = 400
_LONG: Final = re.compile("-?[0-9]+")
_numbers: Final = msgspec.json.Decoder(list[float | None])
_values: Final = msgspec.json.Decoder(list[Value])


class Points(NamedTuple):
    """Numbers of one topic in order of time, none of them None."""

    times: list[float]
    """Seconds since 1970."""
    values: list[float]


def numbers(tokens: str) -> list[float | None]:
    """The numbers of tokens that commas join; None: no value, or a text that is no number.

    Raises msgspec.DecodeError when these are no tokens.
    """
    array = f"[{tokens}]"
    try:
        return _numbers.decode(array)
    except msgspec.ValidationError:
        return [as_number(value) for value in _values.decode(array)]


def values(tokens: str) -> list[Value]:
    """The values of tokens that commas join."""
    return _values.decode(f"[{tokens}]")


def as_number(value: Value) -> float | None:
    """A value as a float; integers too long for a JSON number are stored as text."""
    if not isinstance(value, str):
        return None if value is None else float(value)
    try:
        return float(int(value)) if _LONG.fullmatch(value) else None
    except (ValueError, OverflowError):
        return None


def exact(value: Value) -> Value:
    """A value of a topic of numbers: a float, or the integer that was too long for one."""
    if not isinstance(value, str):
        return None if value is None else float(value)
    if not _LONG.fullmatch(value) or len(value) > _LONGEST:
        return value
    number = int(value)
    return number if abs(number) > MAX_EXACT_INT else float(number)


def points(times: Sequence[float], found: Sequence[float | None]) -> Points:
    """Those that have a value."""
    if None not in found:
        return Points(list(times), cast("list[float]", list(found)))
    kept = [(at, value) for at, value in zip(times, found, strict=True) if value is not None]
    return Points([at for at, _ in kept], [value for _, value in kept])
