"""Workbooks as register maps: a checked RegisterMap, or every fault of the file with its cell.

The only module that knows the spreadsheet library. The file is read once into memory, so that one
replaced meanwhile is seen whole or refused; its hash goes into the map. Source of the sheet's form:
docs/maps.md.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import openpyxl
from openpyxl.workbook import Workbook
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from emdc.errors import RegisterMapError
from emdc.meters import archive, checks, rows, settings, sheet
from emdc.meters.cells import Cell, nearest
from emdc.meters.findings import Findings
from emdc.meters.register_map import MAX_REGISTERS, RegisterMap

WORKSHEET: Final = "Metrics"

_UNSOLVED: Final = (
    "formula without a stored result: open the workbook in a spreadsheet program and save it, "
    "or write the number itself"
)
_NO_METRICS: Final = frozenset({settings.SHEET.casefold(), "sources"})
"""Sheets about a map, which hold no metrics themselves."""
_OUTSIDE_PARTS: Final = ("xl/externallinks/", "xl/connections", "xl/querytables/")


def load(path: Path, *, worksheet: str = WORKSHEET) -> RegisterMap:
    """The register map in a workbook, named after the file.

    Raises RegisterMapError with all faults, 50 at most and then how many more.
    """
    return parse(archive.read(path), book=str(path), name=path.stem, worksheet=worksheet)


def parse(data: bytes, *, book: str, name: str, worksheet: str = WORKSHEET) -> RegisterMap:
    """The register map in the bytes of a workbook; `book` is what errors call it."""
    findings = Findings(book)
    parts = archive.check(data, book)
    if any(part.lower().startswith(_OUTSIDE_PARTS) for part in parts):
        findings.warn("", "links to other files and connections are ignored")
    found, values = _understand(data, worksheet, findings)
    _check_sheet(found, values, findings)
    findings.raise_faults()
    return RegisterMap(
        name=name,
        metrics=tuple(row.metric for row in found if row.metric is not None),
        model=values.get("model", ""),
        vendor=values.get("vendor", ""),
        max_gap=values.get("max_gap", 0),
        max_registers=values.get("max_registers", MAX_REGISTERS),
        hash=hashlib.sha256(data).hexdigest(),
        warnings=findings.warnings,
    )


def _understand(
    data: bytes, worksheet: str, findings: Findings
) -> tuple[list[rows.Row], dict[str, Any]]:
    try:
        with warnings.catch_warnings():
            # The library warns of drawings and styles that it drops; a map has no use for them.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(
                io.BytesIO(data), read_only=True, data_only=True, keep_links=False
            )
            try:
                return _metrics(book, worksheet, findings), _settings(book, worksheet, findings)
            finally:
                book.close()
    except RegisterMapError:
        raise
    except Exception as error:
        # Whatever a damaged part makes the library raise, the user needs one answer.
        text = f"damaged ({type(error).__name__}: {error}): open it in a spreadsheet program"
        findings.fault("", f"{' '.join(text.split())[:300]} and save it")
        raise findings.error() from error


def _metrics(book: Workbook, worksheet: str, findings: Findings) -> list[rows.Row]:
    title = _title(book, worksheet, findings)
    width = len(rows.REQUIRED)
    lines = _lines(book[title], width, findings)
    first = next(lines, None)
    if first is None:
        findings.fault(title, "empty sheet, expected a header row and metrics")
        return []
    fields = rows.columns(first[1], findings)
    found = []
    for number, line in lines:
        if all(line[index].is_blank for index in fields):
            findings.warn(f"{title}!A{number}", "blank row skipped")
        else:
            found.append(rows.read(number, line, fields, findings))
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
    return f" (did you mean {alike[0]!r}?)" if alike else nearest(wanted, possible)


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


def _check_sheet(found: list[rows.Row], values: dict[str, Any], findings: Findings) -> None:
    _check_names(found, findings)
    _check_numbering(found, values, findings)
    _check_sharing(found, findings)
    limit = values.get("max_registers", MAX_REGISTERS)
    for row in found:
        if row.metric is not None and limit < row.metric.size <= MAX_REGISTERS:
            findings.fault(
                row.cells["size"].place, f"size {row.metric.size}, above max_registers {limit}"
            )


def _check_sharing(found: list[rows.Row], findings: Findings) -> None:
    metrics = [row.metric for row in found if row.metric is not None]
    place = {row.metric.name: row.cells["address"].place for row in found if row.metric}
    for first, second in checks.shared_registers(metrics):
        findings.warn(
            place[second.name],
            f"{second.name} lies on registers of {first.name} ({place[first.name]})",
        )


def _check_names(found: list[rows.Row], findings: Findings) -> None:
    seen: dict[str, Cell] = {}
    for row in found:
        cell = row.cells["name"]
        if not isinstance(cell.value, str):
            continue
        first = seen.setdefault(checks.folded(cell.value.strip()), cell)
        if first is not cell:
            findings.fault(
                cell.place,
                f"metric {cell.value.strip()!r} is also in {first.place}: rename one "
                "(upper and lower case do not tell names apart)",
            )


def _check_numbering(found: list[rows.Row], values: dict[str, Any], findings: Findings) -> None:
    metrics = [(row, row.metric) for row in found if row.metric is not None]
    odd = [row for row, metric in metrics if checks.looks_one_based(metric.address)]
    if not odd or "address_base" in values:
        return
    place = odd[0].cells["address"].place
    if len(odd) == len(metrics):
        findings.fault(
            place,
            "every address lies from 40001 to 49999, like register numbers in manuals, expected "
            "addresses from 0 as sent on the wire: subtract 40001, or, if they are meant so, "
            "write address_base 0 in the sheet Meter",
        )
    else:
        findings.warn(
            place, f"{len(odd)} addresses look like register numbers (40001 is the first)"
        )
