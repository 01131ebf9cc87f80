"""Numbers as text: which texts spell one, and the shortest spelling of each.

Used where values come and go as text: rows of the old collector, files of values. Pure, and imports
nothing of ours.
"""

import re
from math import isfinite
from typing import Final

MAX_EXACT_INT: Final = 2**53
"""Beyond it a JSON number loses digits in most readers, so such integers are kept as text."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_LONGEST: Final = 400
"""Characters: more of them are no number that anybody measured."""


def number(text: str) -> int | float | None:
    """The number that a text spells, an integer exactly, or None; infinity when it is too large."""
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > _LONGEST:
        return None
    return float(text) if any(found.groups()) else int(text)


def is_too_large(value: float) -> bool:
    """Whether what `number` gave has no place in a float; an integer is exact at any size."""
    return isinstance(value, float) and not isfinite(value)


def spelled(value: float) -> str:
    """The shortest text that reads back as the same number: `7`, `-5.0`."""
    return repr(value)


def is_not_finite(text: str) -> bool:
    """Whether a text spells NaN or infinity, as programs write them."""
    return _NOT_FINITE.fullmatch(text) is not None
