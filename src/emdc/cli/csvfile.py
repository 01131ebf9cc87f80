"""The form of exported files: what stands in a cell, and what a cell means when it comes back.

Numbers stand as they are stored. A spreadsheet would run a text that begins with = + - or @ as a
formula, and would turn the text 007 into the number 7: such a text has an apostrophe before it, by
which people mark texts in spreadsheets, and loses it again here. No two texts have the same cell,
and none has that of a number. Pure.
"""

import re
from datetime import UTC, datetime
from typing import Final

from emdc.reading import Value
from emdc.storage.instants import INSTANT_CHARS, to_text
from emdc.storage.layout import MAX_EXACT_INT
from emdc.storage.numerals import is_not_finite, is_too_large, number, spelled

HEADER: Final = ("ts", "topic", "value")
MARK: Final = "'"

_RUN: Final = frozenset("=+-@\t\r\n\0")
_FINER: Final = re.compile(r"[.,][0-9]{6,}[1-9]")
"""More digits of a second than an instant keeps."""
_INSTANT: Final = "expected UTC such as 2026-03-01T12:00:00Z"


def instant_cell(ts: str) -> str:
    """A stored instant by ISO 8601 in UTC; microseconds only where there are any."""
    day, time = ts[:10], ts[11:].removesuffix(".000000")
    return f"{day}T{time}Z"


def text_cell(text: str) -> str:
    """A text so that no spreadsheet runs or changes it."""
    return MARK + text if _needs_mark(text) else text


def value_cell(value: Value) -> Value:
    """A number as it is; the csv module writes its shortest form."""
    return text_cell(value) if isinstance(value, str) else value


def text_of(cell: str) -> str:
    """The text of a cell, without the mark that `text_cell` gave it."""
    return cell[1:] if cell.startswith(MARK) and _needs_mark(cell[1:]) else cell


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


def _needs_mark(text: str) -> bool:
    """The same for a text with and without further marks before it."""
    core = text.lstrip(MARK)
    found = number(core)
    if found is not None:
        return not _is_stored_as_text(found) or spelled(found) != core
    return not core or core.lstrip(" ")[:1] in _RUN or is_not_finite(core)


def _is_stored_as_text(number: float) -> bool:
    """Such integers would lose digits as a number of JSON."""
    return isinstance(number, int) and abs(number) > MAX_EXACT_INT


def _check(text: str) -> None:
    if "\0" in text:
        raise ValueError(f"{_short(text)}: a NUL character, expected none")


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 60 else f"{shown[:59]}…"
