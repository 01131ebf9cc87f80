"""What stands in the cells of CSV files, so that no spreadsheet runs or changes a text.

Numbers stand as they are stored. A spreadsheet would run a text that begins with = + - or @ as a
formula, and would turn the text 007 into the number 7: such a text has an apostrophe before it, by
which people mark texts in spreadsheets, and loses it again when it is read. No two texts have the
same cell, and none has that of a number. Used by the files of `emdc export` and by answers of HTTP.
Pure.
"""

from typing import Final

from emdc.numerals import MAX_EXACT_INT, is_not_finite, number, spelled
from emdc.reading import Value

MARK: Final = "'"

_RUN: Final = frozenset("=+-@\t\r\n\0")


def text_cell(text: str) -> str:
    """A text so that no spreadsheet runs or changes it."""
    return MARK + text if _needs_mark(text) else text


def value_cell(value: Value) -> Value:
    """A number as it is; the csv module writes its shortest form."""
    return text_cell(value) if isinstance(value, str) else value


def text_of(cell: str) -> str:
    """The text of a cell, without the mark that `text_cell` gave it."""
    return cell[1:] if cell.startswith(MARK) and _needs_mark(cell[1:]) else cell


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
