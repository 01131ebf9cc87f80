"""The form of exported files: what an instant is in them, and what a cell means when it comes back.

What stands in the cells of values is in `csvcells`. Pure.
"""

import re
from datetime import UTC, datetime
from typing import Final

from emdc.csvcells import text_of
from emdc.numerals import is_not_finite, is_too_large, number
from emdc.reading import Value
from emdc.storage.instants import INSTANT_CHARS, to_text

HEADER: Final = ("ts", "topic", "value")

_FINER: Final = re.compile(r"[.,][0-9]{6,}[1-9]")
"""More digits of a second than an instant keeps."""
_INSTANT: Final = "expected UTC such as 2026-03-01T12:00:00Z"


def instant_cell(ts: str) -> str:
    """A stored instant by ISO 8601 in UTC; microseconds only where there are any."""
    day, time = ts[:10], ts[11:].removesuffix(".000000")
    return f"{day}T{time}Z"


def value_of(cell: str, *, is_text: bool) -> Value:
    """The value of a cell; of a topic that holds texts it is one whatever it looks like.

    Raises ValueError for a cell that is no value.
    """
    found = None if is_text else number(cell)
    if found is not None:
        if is_too_large(found):
            raise ValueError(f"{_short(cell)}, expected a number below 1.8e308")
        return found
    text = text_of(cell)
    if not cell:
        raise ValueError("empty, expected a number or a text; leave the line out")
    if text == cell and not is_text and is_not_finite(cell):
        raise ValueError(f"{_short(cell)}, expected a finite number; leave the line out")
    _check(text)
    return text


def topic_of(cell: str) -> str:
    """The topic's name. Raises ValueError."""
    text = text_of(cell)
    if not text:
        raise ValueError("empty, expected a name such as UW/Mercer/nexus_meter/W")
    _check(text)
    return text


def instant_of(cell: str) -> str:
    """The instant as it is stored. Raises ValueError."""
    if _FINER.search(cell):
        raise ValueError(f"{_short(cell)} is finer than microseconds, {_INSTANT}")
    try:
        at = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError(f"{_short(cell)}, {_INSTANT}") from None
    if at.tzinfo is None:
        if len(cell) != INSTANT_CHARS or cell[10] != " ":
            raise ValueError(f"{_short(cell)} has no time zone, {_INSTANT}")
        at = at.replace(tzinfo=UTC)
    try:
        return to_text(at)
    except OverflowError:
        raise ValueError(f"{_short(cell)} is beyond the calendar, {_INSTANT}") from None


def _check(text: str) -> None:
    if "\0" in text:
        raise ValueError(f"{_short(text)}: a NUL character, expected none")


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:59]}…"
