"""Writes the shipped workbooks and docs/meters.md from tools/meters: `python tools/make_maps.py`.

With --check nothing is written; exit code 1 says that a file is not what the facts give.
The same facts give the same bytes: times in the workbooks are fixed.
"""

import argparse
import io
import re
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import meter_facts
import meters_page
from meter_facts import Meter, Row
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

ROOT: Final = Path(__file__).resolve().parents[1]
MAPS: Final = ROOT / "src" / "emdc" / "meters" / "maps"
PAGE: Final = ROOT / "docs" / "meters.md"

REQUIRED: Final = {
    "Metric Name": "name",
    "Metric Description": "description",
    "Metric Address": "address",
    "Metric Size": "registers",
    "Scaling Factor": "scale",
    "Data Type": "type",
}
OPTIONAL: Final = {
    "Unit": "unit",
    "Function Code": "function_code",
    "Word Order": "word_order",
    "Byte Order": "byte_order",
    "Bits": "bits",
    "Offset": "offset",
    "Invalid": "invalid",
    "Minimum": "minimum",
    "Maximum": "maximum",
    "Rollover": "rollover",
    "Interval (s)": "interval",
    "Kind": "kind",
    "Code": "code",
    "Scale Register": "scale_register",
    "Ratio": "ratio",
    "Group": "group",
    "Certainty": "certainty",
}
"""Header → field of a row. A map has those optional columns that it needs."""
_NUMBERS: Final = frozenset(
    {"address", "registers", "scale", "offset", "minimum", "maximum", "rollover"}
)
# The zip format counts years from 1980; any fixed time does.
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_DATE: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def build(meter: Meter) -> bytes:
    """The workbook of one meter: sheets Metrics, Unverified (if need be), Meter and Sources."""
    book = Workbook()
    first = book.active
    assert isinstance(first, Worksheet)
    first.title = meter_facts.VERIFIED
    _fill(first, _lines(meter.verified))
    if meter.unverified:
        _fill(book.create_sheet(meter_facts.UNVERIFIED), _lines(meter.unverified))
    _fill(book.create_sheet("Meter"), [("Key", "Value"), *meter.about.items()])
    sources = [(row["name"], row["sources"]) for row in meter.rows]
    _fill(book.create_sheet("Sources"), [("Metric", "Sources"), *sources])
    file = io.BytesIO()
    book.save(file)
    return _timeless(file.getvalue())


def _lines(rows: list[Row]) -> list[tuple[Any, ...]]:
    """A header and a line for each row; a column that is empty throughout is left out."""
    cells = {header: [_cell(row, field) for row in rows] for header, field in REQUIRED.items()}
    for header, field in OPTIONAL.items():
        column = [_cell(row, field) for row in rows]
        if any(value is not None for value in column):
            cells[header] = column
    return [tuple(cells), *zip(*cells.values(), strict=True)]


def _cell(row: Row, field: str) -> Any:
    """What stands in a cell; None for an empty one, and for what is the default anyway."""
    value = row.get(field, "")
    if field == "word_order":
        return "little" if value == "little" else None
    if field == "function_code":
        first = int(str(value).split(";", maxsplit=1)[0])
        return None if first == 3 else first
    if value == "":
        return None
    return _number(value) if field in _NUMBERS or field == "interval" else value


def _number(value: str | float) -> float | int:
    number = float(value)
    return int(number) if number.is_integer() else number


def _fill(sheet: Worksheet, rows: Iterable[tuple[Any, ...]]) -> None:
    for row in rows:
        sheet.append(row)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    for number, column in enumerate(sheet.columns, start=1):
        longest = max(len(str(cell.value or "")) for cell in column)
        sheet.column_dimensions[get_column_letter(number)].width = min(longest + 2, 60)


def _timeless(data: bytes) -> bytes:
    """The same workbook with fixed times."""
    result = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                content = _DATE.sub(b"2000-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            new.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return result.getvalue()


def contents(data: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """All values by sheet: what must be equal, whichever version of the library wrote it."""
    book = load_workbook(io.BytesIO(data))
    return {sheet.title: list(sheet.values) for sheet in book.worksheets}


def main(arguments: list[str]) -> int:
    """Write the workbooks and the page, or check them; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    check = parser.parse_args(arguments).check
    meters = meter_facts.meters()
    page = meters_page.page(meters)
    if not check:
        for meter in meters:
            (MAPS / f"{meter.name}.xlsx").write_bytes(build(meter))
        PAGE.write_text(page, encoding="utf-8")
    stale = _stale(meters, page)
    for name in stale:
        sys.stdout.write(f"{name} is stale: run python tools/make_maps.py\n")
    return 1 if stale else 0


def _stale(meters: list[Meter], page: str) -> list[str]:
    """Names of files that are not what the facts give; a workbook of no meter is one."""
    found = {path.name: path for path in MAPS.glob("*.xlsx")}
    wanted = {f"{meter.name}.xlsx": meter for meter in meters}
    stale = sorted(found.keys() ^ wanted.keys())
    for name in sorted(found.keys() & wanted.keys()):
        if contents(found[name].read_bytes()) != contents(build(wanted[name])):
            stale.append(name)
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        stale.append(PAGE.name)
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
