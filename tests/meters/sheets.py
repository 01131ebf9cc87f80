"""Workbooks for the tests of this folder: written by the spreadsheet library, or as raw XML."""

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from emdc.errors import RegisterMapError
from emdc.meters import workbook
from emdc.meters.register_map import RegisterMap

HEADER = (
    "Metric Name",
    "Metric Description",
    "Metric Address",
    "Metric Size",
    "Scaling Factor",
    "Data Type",
)
VOLTAGE = ("Voltage_AN", "1s Phase A-N Voltage", 179, 2, 1.52587890625e-05, "INT32")
CURRENT = ("Current_N", "1s Neutral Current (Secondary)", 193, 2, 1.52587890625e-05, "INT32")
METRICS_PART = "xl/worksheets/sheet1.xml"

Change = Callable[[bytes], bytes]


def row(**changed: Any) -> list[Any]:
    """The voltage row with some of its six cells changed."""
    fields = ("name", "description", "address", "size", "scale", "data_type")
    return [changed.get(field, value) for field, value in zip(fields, VOLTAGE, strict=True)]


def data(
    *rows: Sequence[Any],
    extra: Sequence[str] = (),
    title: str = "Metrics",
    others: Mapping[str, Iterable[Sequence[Any]]] | None = None,
) -> bytes:
    """A workbook with these metrics, these optional columns and these further sheets."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    sheet.append((*HEADER, *extra))
    for row in rows:
        sheet.append(list(row))
    for name, lines in (others or {}).items():
        other = book.create_sheet(name)
        for line in lines:
            other.append(list(line))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def repacked(book: bytes, changes: Mapping[str, Change], **added: bytes) -> bytes:
    """The workbook with parts changed, and with further parts by name."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(result, "w", 8) as new:
        assert set(changes) <= set(old.namelist())
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, changes[name](content) if name in changes else content)
        for name, content in added.items():
            new.writestr(name, content)
    return result.getvalue()


def replaced(book: bytes, old: str, new: str, part: str = METRICS_PART) -> bytes:
    """The workbook with a text of one part replaced; it must occur."""

    def change(content: bytes) -> bytes:
        assert old.encode() in content, content[:2000]
        return content.replace(old.encode(), new.encode(), 1)

    return repacked(book, {part: change})


def parse(book: bytes, worksheet: str = "Metrics") -> RegisterMap:
    return workbook.parse(book, book="map.xlsx", name="map", sheets=(worksheet,))


def fault(book: bytes, worksheet: str = "Metrics") -> tuple[str, str]:
    """Place and problem of the one fault that the workbook has."""
    found = faults(book, worksheet)
    assert len(found) == 1, found
    return found[0]


def faults(book: bytes, worksheet: str = "Metrics") -> tuple[tuple[str, str], ...]:
    with pytest.raises(RegisterMapError) as caught:
        parse(book, worksheet)
    return caught.value.faults


def written(folder: Path, name: str, book: bytes) -> Path:
    path = folder / name
    path.write_bytes(book)
    return path
