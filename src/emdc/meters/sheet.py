"""One worksheet's XML, looked through before its values are read.

Finds what a general reader hides: cells far outside, merged cells, rows out of order (dropped
without a word), formulas that were never calculated. Used by `workbook` only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import iterparse

from emdc.meters.findings import Findings

MAX_ROWS: Final = 10_000
MAX_COLUMNS: Final = 64
LAST_CELL: Final = "BL10000"

_NS: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ROW, _CELL, _MERGE = f"{_NS}row", f"{_NS}c", f"{_NS}mergeCell"
_VALUE, _FORMULA, _INLINE = f"{_NS}v", f"{_NS}f", f"{_NS}is"
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.ASCII)
_ROW_NUMBER: Final = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)
_NUMBER: Final = re.compile(
    r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?", re.ASCII
)


@dataclass(slots=True)
class Extent:
    """How far the cells with content reach, and which formulas have no stored result."""

    rows: int = 0
    columns: int = 0
    unsolved: set[tuple[int, int]] = field(default_factory=set)
    """(row, column), both from 1."""


class _SheetError(Exception):
    """(place, problem) after which the sheet is not read on."""


def column_letters(column: int) -> str:
    """The letters of a column counted from 1: 1 is A, 28 is AB."""
    letters = ""
    while column:
        column, digit = divmod(column - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def scan(stream: IO[bytes], sheet: str, findings: Findings) -> Extent:
    """The extent of one worksheet part; faults that make it unreadable go to `findings`.

    It stops at the first such fault, so that a sheet of a million stray cells takes no time.
    """
    extent = Extent()
    try:
        for row, column, cell in _cells(stream):
            _note(extent, row, column, cell)
    except _SheetError as stop:
        place, problem = stop.args
        findings.fault(f"{sheet}!{place}" if place else sheet, problem)
    return extent


def _cells(stream: IO[bytes]) -> Iterator[tuple[int, int, Element]]:
    """Row, column and element of every cell that has content, in the order of the sheet."""
    row = column = 0
    for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            if element.tag == _ROW:
                row, column = _row_number(element, row), 0
        elif element.tag == _CELL:
            column = _column_number(element, row, column)
            if any(child.tag in {_VALUE, _FORMULA, _INLINE} for child in element):
                yield row, column, element
            element.clear()
        elif element.tag == _MERGE:
            place = element.get("ref", "")
            raise _SheetError(place, f"merged cells not allowed at {place}: unmerge them")


def _row_number(element: Element, before: int) -> int:
    text = element.get("r")
    if text is None:
        return before + 1
    if not _ROW_NUMBER.fullmatch(text) or int(text) <= before:
        raise _SheetError(
            "", f"row {text!r} after row {before}: damaged, open the file and save it"
        )
    return int(text)


def _column_number(element: Element, row: int, before: int) -> int:
    text = element.get("r")
    if text is None:
        return before + 1
    match = _REFERENCE.fullmatch(text)
    if match is None or int(match[2]) != row:
        raise _SheetError("", f"cell {text!r} in row {row}: damaged, open the file and save it")
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    if column <= before:
        raise _SheetError(text, "the cell comes twice or out of order: open the file and save it")
    return column


def _note(extent: Extent, row: int, column: int, cell: Element) -> None:
    place = f"{column_letters(column)}{row}"
    if row > MAX_ROWS or column > MAX_COLUMNS:
        raise _SheetError(place, f"cell outside A1:{LAST_CELL}: delete it")
    extent.rows = max(extent.rows, row)
    extent.columns = max(extent.columns, column)
    text = cell.findtext(_VALUE)
    kind = cell.get("t", "n")
    if cell.find(_FORMULA) is not None and not text and not (kind == "str" and text == ""):
        extent.unsolved.add((row, column))
    if kind == "n" and text and not _NUMBER.fullmatch(text):
        raise _SheetError(place, f"{text[:40]!r} is not a number")
