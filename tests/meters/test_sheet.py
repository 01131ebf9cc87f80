import io

import pytest

from emdc.meters import sheet
from emdc.meters.findings import Findings
from tests.meters import sheets

GOOD = sheets.data(sheets.VOLTAGE, sheets.CURRENT)
NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def scanned(rows: str, after: str = "") -> tuple[sheet.Extent, list[tuple[str, str]]]:
    text = f'<worksheet xmlns="{NAMESPACE}"><sheetData>{rows}</sheetData>{after}</worksheet>'
    findings = Findings("map.xlsx")
    return sheet.scan(io.BytesIO(text.encode()), "Metrics", findings), findings.faults


def test_the_extent_is_that_of_cells_with_content() -> None:
    extent, faults = scanned(
        '<row r="2"><c r="B2"><v>1</v></c><c r="D2" s="1"/></row><row r="9"><c r="A9"/></row>'
    )
    assert (extent.rows, extent.columns, faults) == (2, 2, [])


def test_cells_without_references_follow_each_other() -> None:
    extent, faults = scanned("<row><c><v>1</v></c><c><v>2</v></c></row><row><c><v>3</v></c></row>")
    assert (extent.rows, extent.columns, faults) == (2, 2, [])


def test_a_formula_without_a_result_is_unsolved() -> None:
    extent, _ = scanned(
        '<row r="1"><c r="A1"><f>1+1</f></c><c r="B1"><f>1+1</f><v>2</v></c>'
        '<c r="C1" t="str"><f>""</f><v></v></c><c r="D1"><f>1</f><v/></c></row>'
    )
    assert extent.unsolved == {(1, 1), (1, 4)}


@pytest.mark.parametrize("place", ["XFD1048576", "BM1", "A10001"])
def test_a_cell_outside_the_corner_is_a_fault(place: str) -> None:
    row = "".join(character for character in place if character.isdigit())
    _, faults = scanned(f'<row r="{row}"><c r="{place}"><v>1</v></c></row>')
    assert faults == [(f"Metrics!{place}", "cell outside A1:BL10000: delete it")]


def test_a_million_stray_cells_end_at_the_first() -> None:
    row = '<row r="20000"><c r="A20000"><v>1</v></c></row>'
    _, faults = scanned(row + "<this is never read")
    assert len(faults) == 1


def test_merged_cells_are_a_fault_with_their_place() -> None:
    merged = '<mergeCells><mergeCell ref="B2:C2"/></mergeCells>'
    _, faults = scanned('<row r="1"><c r="A1"><v>1</v></c></row>', merged)
    assert faults == [("Metrics!B2:C2", "merged cells not allowed at B2:C2: unmerge them")]


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="3"/><row r="2"/>',
        '<row r="0"/>',
        '<row r="99999999999999"/>',
        '<row r="1.5"/>',
        '<row r="1"><c r="A2"><v>1</v></c></row>',
        '<row r="1"><c r="ZZZZ1"><v>1</v></c></row>',
        '<row r="1"><c r="A1"><v>1</v></c><c r="A1"><v>2</v></c></row>',
    ],
)
def test_rows_and_cells_in_no_order_are_a_fault(rows: str) -> None:
    _, faults = scanned(rows)
    assert len(faults) == 1
    assert "open the file and save it" in faults[0][1]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1_000", "\uff10", "1" * 5000])
def test_what_is_stored_as_a_number_and_is_none_is_a_fault(number: str) -> None:
    _, faults = scanned(f'<row r="1"><c r="A1"><v>{number}</v></c></row>')
    assert faults[0][0] == "Metrics!A1"
    assert "is not a number" in faults[0][1]


def test_a_lying_dimension_is_ignored() -> None:
    for lie in ("A1:XFD1048576", "A1"):
        book = sheets.replaced(GOOD, '<dimension ref="A1:F3"', f'<dimension ref="{lie}"')
        assert [metric.name for metric in sheets.parse(book).metrics] == ["Voltage_AN", "Current_N"]


def test_column_letters_count_as_a_spreadsheet_does() -> None:
    assert [sheet.column_letters(column) for column in (1, 26, 27, 64)] == ["A", "Z", "AA", "BL"]
