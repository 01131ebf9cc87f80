"""Workbooks as register maps: a checked RegisterMap, or every fault of the file with its cell.

The only module that knows the spreadsheet library. The file is read once into memory, so that one
replaced meanwhile is seen whole or refused; its hash goes into the map. Source of the sheet's form:
docs/maps.md.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import openpyxl
from openpyxl.workbook import Workbook
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from emdc.errors import RegisterMapError
from emdc.meters import archive, rows, settings, sheet
from emdc.meters.cells import Cell, nearest
from emdc.meters.findings import Findings
from emdc.meters.register_map import MAX_REGISTERS, Metric, RegisterMap
from emdc.meters.sheet_checks import check_sheet

WORKSHEET: Final = "Metrics"
UNVERIFIED: Final = "Unverified"
"""Sheet of further metrics, which nothing verifies: read only when asked for."""
NONE_UNVERIFIED: Final = f"no worksheet {UNVERIFIED!r}, so there is nothing unverified to read"

_UNSOLVED: Final = (
    "formula without a stored result: open the workbook in a spreadsheet program and save it, "
    "or write the number itself"
)
_NO_METRICS: Final = frozenset({settings.SHEET.casefold(), "sources"})
"""Sheets about a map, which hold no metrics themselves."""
_OUTSIDE_PARTS: Final = ("xl/externallinks/", "xl/connections", "xl/querytables/")


class _Content(NamedTuple):
    """What a workbook holds."""

    rows: list[rows.Row]
    unverified: list[rows.Row]
    settings: dict[str, Any]


def load(path: Path, *, worksheet: str = WORKSHEET, unverified: bool = False) -> RegisterMap:
    """The register map in a workbook, named after the file.

    `unverified`: with the metrics of the sheet Unverified. Raises RegisterMapError with all faults,
    50 at most and then how many more.
    """
    data = archive.read(path)
    sheets = (worksheet, UNVERIFIED) if unverified else (worksheet,)
    return parse(data, book=str(path), name=path.stem, sheets=sheets)


def parse(
    data: bytes, *, book: str, name: str, sheets: Sequence[str] = (WORKSHEET,)
) -> RegisterMap:
    """The register map in the bytes of a workbook; `book` is what errors call it.

    `sheets`: that of the metrics, and that of unverified ones where they are wanted too.
    """
    findings = Findings(book)
    parts = archive.check(data, book)
    if any(part.lower().startswith(_OUTSIDE_PARTS) for part in parts):
        findings.warn("", "links to other files and connections are ignored")
    content = _understand(data, sheets, findings)
    found, values = [*content.rows, *content.unverified], content.settings
    check_sheet(found, values, findings)
    findings.raise_faults()
    return RegisterMap(
        name=name,
        metrics=tuple(_counted_from_0(found, values.get("address_base", 0))),
        model=values.get("model", ""),
        vendor=values.get("vendor", ""),
        max_gap=values.get("max_gap", 0),
        max_registers=values.get("max_registers", MAX_REGISTERS),
        ct_ratio=values.get("ct_ratio", ""),
        pt_ratio=values.get("pt_ratio", ""),
        identity=values.get("identity", ""),
        notes=values.get("notes", ""),
        unverified=frozenset(row.metric.name for row in content.unverified if row.metric),
        hash=hashlib.sha256(data).hexdigest(),
        warnings=findings.warnings,
        address_base=values.get("address_base"),
        places=_places(found),
    )


def _counted_from_0(found: Sequence[rows.Row], base: int) -> Iterator[Metric]:
    metrics = (row.metric for row in found if row.metric is not None)
    return (replace(one, address=one.address - base) if base else one for one in metrics)


def _places(found: Sequence[rows.Row]) -> dict[tuple[str, str], str]:
    return {
        (row.metric.name, field): cell.place
        for row in found
        if row.metric is not None
        for field, cell in row.cells.items()
    }


def _understand(data: bytes, sheets: Sequence[str], findings: Findings) -> _Content:
    try:
        with warnings.catch_warnings():
            # The library warns of drawings and styles that it drops; a map has no use for them.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(
                io.BytesIO(data), read_only=True, data_only=True, keep_links=False
            )
            try:
                return _content(book, sheets, findings)
            finally:
                book.close()
    except RegisterMapError:
        raise
    except Exception as error:
        # Whatever a damaged part makes the library raise, the user needs one answer.
        text = f"damaged ({type(error).__name__}: {error}): open it in a spreadsheet program"
        findings.fault("", f"{' '.join(text.split())[:300]} and save it")
        raise findings.error() from error


def _content(book: Workbook, sheets: Sequence[str], findings: Findings) -> _Content:
    worksheet, *more = sheets
    found = _metrics(book, _title(book, worksheet, findings), findings)
    unverified: list[rows.Row] = []
    for wanted in more:
        titles = [title for title in book.sheetnames if _alike(title) == _alike(wanted)]
        if not titles:
            findings.warn("", NONE_UNVERIFIED)
        elif _alike(wanted) != _alike(worksheet):
            unverified += _metrics(book, titles[0], findings)
    return _Content(found, unverified, _settings(book, worksheet, findings))


def _metrics(book: Workbook, title: str, findings: Findings) -> list[rows.Row]:
    width = len(rows.REQUIRED)
    lines = _lines(book[title], width, findings)
    first = next(lines, None)
    if first is None:
        findings.fault(title, "empty sheet, expected a header row and metrics")
        return []
    fields = rows.columns(first[1], findings)
    before = len(findings.faults)
    found = []
    for number, line in lines:
        if all(line[index].is_blank for index in fields):
            findings.warn(f"{title}!A{number}", "blank row skipped")
        else:
            found.append(rows.read(number, line, fields, findings))
    wrong = rows.misplaced(first[1]) if len(findings.faults) > before else []
    if wrong:
        said = ", ".join(f"{cell.value!r} where {expected} is read" for cell, expected in wrong)
        # The cause, before all that follows from it.
        findings.faults.insert(
            before, (wrong[0][0].place, f"the first six columns go by position: {said}")
        )
    if not found:
        findings.fault(title, "no metrics below the header row")
    return found


def _settings(book: Workbook, worksheet: str, findings: Findings) -> dict[str, Any]:
    titles = [title for title in book.sheetnames if _alike(title) == _alike(settings.SHEET)]
    if not titles or _alike(worksheet) == _alike(settings.SHEET):
        return {}
    lines = _lines(book[titles[0]], 2, findings)
    return settings.read((line for _, line in lines), findings)


def _title(book: Workbook, wanted: str, findings: Findings) -> str:
    """The worksheet's exact title. Raises RegisterMapError when there is none, or two alike."""
    alike = [title for title in book.sheetnames if _alike(title) == _alike(wanted)]
    if len(alike) > 1:
        names = " and ".join(repr(title) for title in alike)
        findings.fault("", f"worksheets {names} differ only in case or spaces: rename one")
        raise findings.error()
    if wanted not in book.sheetnames:
        present = ", ".join(repr(title) for title in book.sheetnames)
        hint = _nearest(wanted, book.sheetnames)
        findings.fault("", f"no worksheet {wanted!r}, there are {present}{hint}")
        raise findings.error()
    if book[wanted].sheet_state != "visible":
        findings.warn(wanted, "the worksheet is hidden")
    return wanted


def _nearest(wanted: str, titles: Sequence[str]) -> str:
    """A hint at the worksheet that may be meant; one about the map never is."""
    possible = [title for title in titles if _alike(title) not in _NO_METRICS]
    alike = [title for title in possible if _alike(title) == _alike(wanted)]
    if alike:
        return f" (did you mean {alike[0]!r}?)"
    if wanted == WORKSHEET and len(possible) == 1:
        return f": rename {possible[0]!r} to {wanted}"
    return nearest(wanted, possible)


def _alike(title: str) -> str:
    return "".join(title.split()).casefold()


def _lines(
    worksheet: Any, at_least: int, findings: Findings
) -> Iterator[tuple[int, Sequence[Cell]]]:
    """(row number, cells) down to the last row with content, each as wide as the widest."""
    title = worksheet.title
    extent = _scan(worksheet, findings)
    if not extent.rows:
        return
    width = max(extent.columns, at_least)
    letters = [sheet.column_letters(column) for column in range(1, width + 1)]
    found = worksheet.iter_rows(max_row=extent.rows, max_col=width)
    for number, line in enumerate(found, start=1):
        yield (
            number,
            [
                Cell(place, trouble=_UNSOLVED)
                if (number, column) in extent.unsolved
                else _cell(place, cell)
                for column, cell in enumerate(line, start=1)
                for place in (f"{title}!{letters[column - 1]}{number}",)
            ],
        )


def _scan(worksheet: Any, findings: Findings) -> sheet.Extent:
    """How far a worksheet reaches. Raises RegisterMapError when it cannot be read."""
    if not isinstance(worksheet, ReadOnlyWorksheet):
        findings.fault(worksheet.title, "a chart, expected a worksheet with cells")
        raise findings.error()
    before = len(findings.faults)
    # Private to the library, and the only way to a sheet's own XML; its stubs do not know it.
    with worksheet._get_source() as stream:  # type: ignore[attr-defined]
        extent = sheet.scan(stream, worksheet.title, findings)
    if len(findings.faults) > before:
        raise findings.error()
    # The stored dimension may lie; the scan has counted.
    worksheet.reset_dimensions()
    return extent


def _cell(place: str, cell: Any) -> Cell:
    if cell.data_type == "e":
        return Cell(place, cell.value, f"{cell.value} is an error, expected a value")
    return Cell(place, cell.value)
