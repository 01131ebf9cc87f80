"""One cell of a workbook, and what its value is when a column expects a number, a word or a text.

Readers raise CellError with what is wrong and what to do; what is strange but usable goes to the
findings with the cell's place. Used by `rows` and `settings`.
"""

import difflib
import math
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from typing import Final, NamedTuple, TypeVar

from emdc.meters.findings import Findings

_WHOLE_TEXT: Final = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_NUMBER_TEXT: Final = re.compile(
    r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?", re.ASCII
)
_FIELD_TEXT: Final = re.compile(r"([0-9]{1,2})(?:\s*-\s*([0-9]{1,2}))?", re.ASCII)
_HEX_TEXT: Final = re.compile(r"0[xX][0-9A-Fa-f]{1,500}", re.ASCII)
# Beyond this a spreadsheet's number is a double whose last digits are lost.
EXACT: Final = 2**53

MAX_NAME: Final = 255
NO_WORDS: Final[Mapping[str, str]] = {}

_T = TypeVar("_T")


class Cell(NamedTuple):
    """One cell: where it is, its value, and why that value cannot be used, if so."""

    place: str
    value: object = None
    trouble: str = ""

    @property
    def is_blank(self) -> bool:
        """Nothing in it, or only spaces."""
        if self.trouble:
            return False
        return self.value is None or (isinstance(self.value, str) and not self.value.strip())


class CellError(ValueError):
    """What is wrong with one cell, and what to do."""


def number(cell: Cell, findings: Findings) -> float | int:
    """The number in a cell, an int when it is whole; zero is fine, NaN and infinity are not."""
    value = _value(cell, "a number")
    if isinstance(value, str):
        value = _number_from(value, cell, findings)
    if not isinstance(value, int | float):
        raise CellError(f"{value!r} is no number")
    if not math.isfinite(value):
        raise CellError("too large or not a number, expected a finite number")
    if 0 < abs(value) < sys.float_info.min:
        raise CellError(f"{value} is too close to zero to calculate with")
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    return value


def whole(cell: Cell, findings: Findings) -> int:
    """The whole number in a cell; 502.0 is one, 502.5 is not, the text `5e2` is not either."""
    text = cell.value
    if isinstance(text, str) and _NUMBER_TEXT.fullmatch(text) and not _WHOLE_TEXT.fullmatch(text):
        raise CellError(f"text {text!r}, expected a whole number in digits")
    value = number(cell, findings)
    if not isinstance(value, int):
        raise CellError(f"{value} is not a whole number")
    return value


def pattern(cell: Cell, findings: Findings) -> int:
    """A raw register pattern: decimal, or hexadecimal as the text 0x8000."""
    text = cell.value
    if isinstance(text, str) and not cell.trouble:
        text = text.strip()
        if _HEX_TEXT.fullmatch(text):
            return int(text, 16)
        if _WHOLE_TEXT.fullmatch(text) and int(text) >= 0:
            return int(text)
        raise CellError(f"{text[:40]!r}, expected a raw pattern such as 32768 or 0x8000")
    value = number(cell, findings)
    if not isinstance(value, int) or value < 0:
        raise CellError(f"{value}, expected the raw pattern from 0 up; write long ones as text 0x…")
    return value


def patterns(cell: Cell, findings: Findings) -> tuple[int | None, ...]:
    """Raw register patterns with semicolons between them; None stands for the word `type`."""
    if not isinstance(cell.value, str) or cell.trouble:
        return (pattern(cell, findings),)
    parts = [part.strip() for part in cell.value.split(";")]
    return tuple(
        None if part.casefold() == "type" else pattern(Cell(cell.place, part), findings)
        for part in parts
        if part
    )


def bit_field(cell: Cell, findings: Findings) -> tuple[int, int]:
    """First and last bit of a field, counted from 0, the lowest: `3` or `0-3`."""
    if not isinstance(cell.value, str) or cell.trouble:
        bit = whole(cell, findings)
        return bit, bit
    found = _FIELD_TEXT.fullmatch(cell.value.strip())
    if found is None:
        raise CellError(f"{cell.value[:40]!r}, expected a bit such as 3 or several such as 0-3")
    first = int(found[1])
    return first, int(found[2] or first)


def text(cell: Cell, _findings: Findings) -> str:
    """The text of a cell without spaces around it; a number is written out."""
    if isinstance(cell.value, bool | int | float) and not cell.trouble:
        return str(cell.value)
    value = _value(cell, "a text")
    return str(value).strip()


def name(cell: Cell, findings: Findings) -> str:
    """A metric name: 1 to MAX_NAME characters, none of them a control character."""
    value = cell.value
    result = text(cell, findings)
    if isinstance(value, str) and value != result:
        findings.warn(cell.place, f"spaces around {result!r} are ignored")
    if len(result) > MAX_NAME:
        raise CellError(f"{len(result)} characters, expected at most {MAX_NAME}")
    for character in result:
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            raise CellError(f"control character {character!r} in a name: delete it")
    return result


def word(
    cell: Cell, allowed: Mapping[str, _T], findings: Findings, usual: Mapping[str, str] = NO_WORDS
) -> _T:
    """What `allowed` holds for the word in a cell, ignoring case and spaces; its keys are lower.

    `usual`: what other programs call it, and the word that is hinted at then.
    """
    key = "".join(text(cell, findings).casefold().split())
    if key in allowed:
        return allowed[key]
    choices = list(dict.fromkeys(str(value) for value in allowed.values()))
    hint = nearest(usual.get(key, key), choices)
    raise CellError(f"{str(cell.value)[:40]!r}, expected one of {', '.join(choices)}{hint}")


def nearest(wrong: str, known: Iterable[str]) -> str:
    """A hint such as ` (did you mean max_gap?)`, or nothing when no name is close in any case."""
    spelled = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(wrong.casefold(), spelled, n=1, cutoff=0.6)
    return f" (did you mean {spelled[found[0]]}?)" if found else ""


def _value(cell: Cell, wanted: str) -> object:
    """The value of a cell that can be used; never a date, and a bool only as a text."""
    if cell.trouble:
        raise CellError(cell.trouble)
    if cell.is_blank:
        raise CellError(f"empty, expected {wanted}")
    if isinstance(cell.value, bool):
        raise CellError(f"{str(cell.value).upper()} where {wanted} is needed")
    if isinstance(cell.value, date | time | timedelta):
        raise CellError(f"date where {wanted} is needed: set the cell's format, then type it again")
    return cell.value


def _number_from(value: str, cell: Cell, findings: Findings) -> float | int:
    if _NUMBER_TEXT.fullmatch(value):
        findings.warn(cell.place, f"the number {value} is stored as text")
        return int(value) if _WHOLE_TEXT.fullmatch(value) else float(value)
    raise CellError(f"{value[:40]!r} is not a number{_hint(value)}")


def _hint(value: str) -> str:
    if re.fullmatch(r"[+-]?[0-9.\s]*,[0-9]+", value.strip(), re.ASCII):
        return ": write the decimals after a point, and no separators"
    if any(character.isspace() for character in value):
        return ": write it without spaces"
    if value[:1] in {"\u2010", "\u2011", "\u2012", "\u2013", "\u2212"}:
        return ": the sign is a dash, write an ordinary minus"
    if any(character.isdigit() and not character.isascii() for character in value):
        return ": write it with the digits 0 to 9"
    if value[:2].lower() == "0x":
        return ": write it in decimal"
    return ""
