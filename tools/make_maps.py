"""Writes the shipped workbooks from the facts in tools/meters: `python tools/make_maps.py`.

With --check nothing is written; exit code 1 says that a workbook is not what the facts give.
The same facts give the same bytes: times in the file are fixed.
"""

import argparse
import csv
import io
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

TOOLS: Final = Path(__file__).resolve().parent
FACTS: Final = TOOLS / "meters"
MAPS: Final = TOOLS.parent / "src" / "emdc" / "meters" / "maps"

HEADER: Final = (
    *("Metric Name", "Metric Description", "Metric Address", "Metric Size"),
    *("Scaling Factor", "Data Type", "Unit", "Word Order", "Minimum", "Maximum"),
    *("Kind", "Code", "Ratio", "Certainty"),
)
# The zip format counts years from 1980; any fixed time does.
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_DATE: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Model(NamedTuple):
    """A shipped map: its file's name, its facts, what its sheet `Meter` says."""

    name: str
    facts: str
    meter: dict[str, str | int]


MODELS: Final = (
    Model(
        "nexus-1272",
        "nexus_1252_1262_1272",
        {
            "model": "Nexus 1252/1262/1272",
            "vendor": "Electro Industries/GaugeTech",
            "max_gap": 16,
            "max_registers": 125,
            "notes": "Voltages, currents and powers are secondary values: set ct_ratio and "
            "pt_ratio of the meter. Power factors are magnitudes.",
        },
    ),
    Model(
        "eaton-pxm-4000",
        "eaton_pxm4000_6000_8000",
        {
            "model": "Power Xpert Meter 4000/6000/8000",
            "vendor": "Eaton",
            "max_gap": 32,
            "max_registers": 125,
            "notes": "Answers as unit 1. Word order of the energies and the addresses of the "
            "angles are unverified: see Certainty.",
        },
    ),
)


def build(model: Model) -> bytes:
    """The workbook of one model: sheets Metrics, Meter and Sources."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "Metrics"
    chosen = list(_chosen(model))
    _fill(sheet, [HEADER, *(_row(wanted, fact) for wanted, fact in chosen)])
    _fill(book.create_sheet("Meter"), [("Key", "Value"), *model.meter.items()])
    sources = [(wanted["metric"], fact["sources"]) for wanted, fact in chosen]
    _fill(book.create_sheet("Sources"), [("Metric", "Sources"), *sources])
    file = io.BytesIO()
    book.save(file)
    return _timeless(file.getvalue())


def _chosen(model: Model) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """(row of the map, its fact), in the map's order."""
    facts = {fact["metric"]: fact for fact in _read(FACTS / f"{model.facts}.csv")}
    for wanted in _read(FACTS / f"{model.name}.csv"):
        yield wanted, facts[wanted["fact"] or wanted["metric"]]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _row(wanted: dict[str, str], fact: dict[str, str]) -> tuple[Any, ...]:
    register = re.search(r"\[vendor register \d+\]", fact["description"])
    described = f"{wanted['description']} {register[0] if register else ''}".strip()
    order = "little" if fact["word_order"] == "little" else "big"
    return (
        *(wanted["metric"], described, int(fact["address"]), int(fact["registers"])),
        *(_number(fact["scale"]), fact["type"], fact["unit"], order),
        *(_number(wanted["minimum"]), _number(wanted["maximum"])),
        *(wanted["kind"], wanted["code"], wanted["ratio"], fact["certainty"]),
    )


def _number(text: str) -> float | int | None:
    if not text:
        return None
    value = float(text)
    return int(value) if value.is_integer() else value


def _fill(sheet: Worksheet, rows: list[tuple[Any, ...]]) -> None:
    for row in rows:
        sheet.append([None if value == "" else value for value in row])
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
    """Write the workbooks, or check them; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    check = parser.parse_args(arguments).check
    stale = 0
    for model in MODELS:
        path, data = MAPS / f"{model.name}.xlsx", build(model)
        if not check:
            path.write_bytes(data)
        elif not path.exists() or contents(path.read_bytes()) != contents(data):
            stale = 1
            sys.stdout.write(f"{path.name} is stale: run python tools/make_maps.py\n")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
