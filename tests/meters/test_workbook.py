import contextlib
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from openpyxl import Workbook
from openpyxl.chart import BarChart

from emdc.errors import RegisterMapError
from emdc.meters import workbook
from emdc.meters.register_map import DataType, Metric
from tests.meters import sheets
from tests.meters.sheets import CURRENT, VOLTAGE, fault, faults, parse, row


def test_six_columns_make_a_map() -> None:
    found = parse(sheets.data(VOLTAGE, CURRENT))
    assert found.metrics == (
        Metric("Voltage_AN", 179, 2, DataType.INT32, 2.0**-16, description="1s Phase A-N Voltage"),
        Metric(
            "Current_N",
            *(193, 2, DataType.INT32, 2.0**-16),
            description="1s Neutral Current (Secondary)",
        ),
    )
    assert (found.warnings, found.max_gap, found.max_registers) == ((), 0, 125)


def test_the_name_and_the_hash_are_those_of_the_file(tmp_path: Path) -> None:
    path = sheets.written(tmp_path, "roof.xlsx", sheets.data(VOLTAGE))
    found = workbook.load(path)
    assert found.name == "roof"
    assert found.hash == hashlib.sha256(path.read_bytes()).hexdigest()


STRINGS = (
    b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    b"<si><t>other</t></si><si><r><t>Voltage_</t></r><r><rPr><b/></rPr><t>AN</t></r></si></sst>"
)
STRINGS_TYPE = (
    '<Override PartName="/xl/sharedStrings.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
)


def with_shared_strings(book: bytes, index: int) -> bytes:
    """The workbook with its first metric's name in a table of strings, as most programs write."""
    inline = '<c r="A2" t="inlineStr"><is><t>Voltage_AN</t></is></c>'
    shared = sheets.replaced(book, inline, f'<c r="A2" t="s"><v>{index}</v></c>')
    typed = sheets.replaced(shared, "</Types>", STRINGS_TYPE, "[Content_Types].xml")
    return sheets.repacked(typed, {}, **{"xl/sharedStrings.xml": STRINGS})


def test_inline_shared_and_rich_strings_are_equal() -> None:
    inline = sheets.data(VOLTAGE)
    rich = sheets.replaced(
        inline, "<is><t>Voltage_AN</t></is>", "<is><r><t>Voltage</t></r><r><t>_AN</t></r></is>"
    )
    expected = parse(inline).metrics
    assert parse(rich).metrics == parse(with_shared_strings(inline, 1)).metrics == expected


def test_a_blank_row_is_skipped_with_a_warning_and_is_no_end() -> None:
    found = parse(sheets.data(VOLTAGE, (), (" ",), CURRENT))
    assert [metric.name for metric in found.metrics] == ["Voltage_AN", "Current_N"]
    assert found.warnings == (
        "Metrics!A3: blank row skipped",
        "Metrics!A4: blank row skipped",
    )


@pytest.mark.parametrize("second", ["Voltage_AN", "voltage_an", " Voltage_AN"])
def test_a_name_that_comes_twice_names_both_rows(second: str) -> None:
    place, problem = fault(sheets.data(VOLTAGE, row(name=second, address=300)))
    assert place == "Metrics!A3"
    assert "also in Metrics!A2" in problem


def test_names_that_are_equal_after_normalisation_are_one() -> None:
    book = sheets.data(row(name="\u00e9nergie"), row(name="e\u0301nergie", address=300))
    assert "also in Metrics!A2" in fault(book)[1]


def test_two_metrics_on_one_address_are_warned_of() -> None:
    found = parse(
        sheets.data(
            VOLTAGE,
            row(name="again"),
            row(name="other", data_type="UINT32"),
            row(name="half", address=180),
        )
    )
    assert found.warnings == (
        "Metrics!C3: again lies on registers of Voltage_AN (Metrics!C2), which hold one value: "
        "correct an address, or delete a row",
        "Metrics!C4: other lies on registers of again (Metrics!C3), as UINT32 and INT32: "
        "correct an address, or delete a row",
        "Metrics!C5: half lies on registers of other (Metrics!C4), which hold a part of each: "
        "correct an address or a size",
    )


def test_some_addresses_like_register_numbers_are_only_warned_of() -> None:
    found = parse(sheets.data(VOLTAGE, row(name="far", address=40180)))
    assert len(found.warnings) == 1
    assert "Metrics!C3: 1 addresses look like register numbers" in found.warnings[0]


def test_high_addresses_that_are_meant_so_load_when_the_meter_sheet_says_it() -> None:
    meter = {"Meter": [("address_base", 0)]}
    assert parse(sheets.data(row(address=40071), others=meter)).warnings == ()


def test_addresses_that_count_from_1_are_read_from_the_register_before() -> None:
    meter = {"Meter": [("address_base", 1)]}
    found = parse(sheets.data(VOLTAGE, row(name="W", address=1), others=meter))
    assert [metric.address for metric in found.metrics] == [178, 0]
    assert found.warnings == ()


def test_no_address_lies_below_the_first() -> None:
    meter = {"Meter": [("address_base", 1)]}
    assert fault(sheets.data(row(address=0), others=meter)) == (
        "Metrics!C2",
        "address 0, expected 1 or more with address_base 1",
    )


def test_register_numbers_are_refused_also_where_addresses_count_from_1() -> None:
    meter = {"Meter": [("address_base", 1)]}
    assert "subtract 40001" in fault(sheets.data(row(address=40071), others=meter))[1]


def test_all_faults_come_together_in_the_order_of_the_sheet() -> None:
    book = sheets.data(row(size=3), row(name=None, address=-1, data_type="x"), CURRENT)
    assert [place for place, _ in faults(book)] == ["Metrics!D2", "Metrics!A3", "Metrics!F3"]


def test_after_fifty_faults_the_rest_is_counted() -> None:
    found = faults(sheets.data(*(row(name=f"m{n}", address=n, size=3) for n in range(0, 180, 3))))
    assert len(found) == 51
    assert found[-1] == ("", "and 10 more")


def test_a_missing_sheet_lists_those_present() -> None:
    place, problem = fault(sheets.data(VOLTAGE, title="metrics"))
    assert place == ""
    assert problem == "no worksheet 'Metrics', there are 'metrics' (did you mean 'metrics'?)"


def test_a_missing_sheet_is_never_taken_for_one_about_the_map() -> None:
    book = sheets.data(VOLTAGE, title="Roof", others={"Meter": [], "Sources": []})
    for wanted in ("Metrics", "Metre", "meter", "Source"):
        with pytest.raises(RegisterMapError) as caught:
            parse(book, wanted)
        rename = ": rename 'Roof' to Metrics" if wanted == "Metrics" else ""
        assert str(caught.value).endswith(f"there are 'Roof', 'Meter', 'Sources'{rename}")


def test_two_sheets_that_look_alike_are_a_fault() -> None:
    assert "rename one" in fault(sheets.data(VOLTAGE, others={"Metrics ": []}))[1]


def test_a_hidden_sheet_is_read_with_a_warning() -> None:
    book = sheets.replaced(
        sheets.data(VOLTAGE), 'state="visible"', 'state="veryHidden"', "xl/workbook.xml"
    )
    assert parse(book).warnings == ("Metrics: the worksheet is hidden",)


def test_another_worksheet_is_read_when_it_is_named() -> None:
    book = sheets.data(VOLTAGE, title="Roof")
    assert len(parse(book, "Roof").metrics) == 1


def test_an_empty_sheet_and_a_lone_header_have_no_metrics() -> None:
    assert fault(sheets.data()) == ("Metrics", "no metrics below the header row")
    bare = sheets.repacked(
        sheets.data(),
        {sheets.METRICS_PART: lambda part: part.split(b"<row")[0] + b"</sheetData></worksheet>"},
    )
    assert fault(bare) == ("Metrics", "empty sheet, expected a header row and metrics")


def test_merged_cells_name_their_place() -> None:
    merged = sheets.replaced(
        sheets.data(VOLTAGE),
        "</sheetData>",
        '</sheetData><mergeCells><mergeCell ref="B2:C2"/></mergeCells>',
    )
    assert fault(merged)[1].startswith("merged cells not allowed at B2:C2")


def test_a_stray_cell_in_the_last_corner_is_named() -> None:
    stray = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    book = sheets.replaced(sheets.data(VOLTAGE), "</sheetData>", stray)
    assert fault(book) == ("Metrics!XFD1048576", "cell outside A1:BL10000: delete it")


def test_links_to_other_files_are_ignored_with_a_warning() -> None:
    book = sheets.repacked(
        sheets.data(VOLTAGE), {}, **{"xl/externalLinks/externalLink1.xml": b"<externalLink/>"}
    )
    assert parse(book).warnings == ("links to other files and connections are ignored",)


def test_a_part_that_the_library_cannot_understand_is_damage() -> None:
    place, problem = fault(with_shared_strings(sheets.data(VOLTAGE), 999))
    assert place == ""
    assert problem.startswith("damaged (IndexError")


def test_a_sheet_of_a_chart_has_no_cells() -> None:
    book = Workbook()
    book.create_chartsheet("Metrics").add_chart(BarChart())
    file = io.BytesIO()
    book.save(file)
    assert fault(file.getvalue()) == ("Metrics", "a chart, expected a worksheet with cells")


def test_a_mangled_workbook_loads_or_is_refused_and_never_crashes() -> None:
    random = Random(4711)
    parts = [sheets.METRICS_PART, "xl/workbook.xml", "xl/styles.xml", "[Content_Types].xml"]
    book = sheets.data(VOLTAGE, others={"Meter": [("max_gap", 3)]})

    def mangle(part: bytes) -> bytes:
        at = random.randrange(len(part))
        return part[:at] + bytes([random.choice(b"<>&/'\" 019aAZ")]) + part[at + 1 :]

    for _ in range(200):
        mangled = sheets.repacked(book, {random.choice(parts): mangle})
        with contextlib.suppress(RegisterMapError):
            parse(mangled)


UNSURE = ("THD_V", "", 300, 1, 0.1, "UINT16", "maybe")


def with_unsure(*lines: Sequence[object], title: str = "Unverified") -> bytes:
    others = {title: [(*sheets.HEADER, "Certainty"), *lines]}
    return sheets.data(VOLTAGE, others=others)


def test_unverified_metrics_are_read_only_when_asked_for(tmp_path: Path) -> None:
    path = sheets.written(tmp_path, "own.xlsx", with_unsure(UNSURE, title=" unverified"))
    found = workbook.load(path)
    assert ([metric.name for metric in found.metrics], found.unverified) == (
        ["Voltage_AN"],
        frozenset(),
    )
    more = workbook.load(path, unverified=True)
    assert [metric.name for metric in more.metrics] == ["Voltage_AN", "THD_V"]
    assert (more.unverified, more.metrics[1].certainty) == (frozenset({"THD_V"}), "maybe")
    assert more.warnings == ()


def test_faults_of_unverified_metrics_count_when_they_are_asked_for(tmp_path: Path) -> None:
    twice = (VOLTAGE[0], *UNSURE[1:])
    path = sheets.written(tmp_path, "own.xlsx", with_unsure(twice, (*UNSURE[:3], 9, 1, "INT16")))
    assert len(workbook.load(path).metrics) == 1
    with pytest.raises(RegisterMapError) as caught:
        workbook.load(path, unverified=True)
    assert [place for place, _ in caught.value.faults] == ["Unverified!D3", "Unverified!A2"]
    assert "is also in Metrics!A2" in caught.value.faults[1][1]


def test_a_map_without_unverified_metrics_says_so_when_they_are_asked_for(tmp_path: Path) -> None:
    path = sheets.written(tmp_path, "own.xlsx", sheets.data(VOLTAGE))
    found = workbook.load(path, unverified=True)
    assert len(found.metrics) == 1
    assert found.warnings == ("no worksheet 'Unverified', so there is nothing unverified to read",)


def test_the_sheet_of_unverified_metrics_can_be_the_one_that_is_read(tmp_path: Path) -> None:
    path = sheets.written(tmp_path, "own.xlsx", with_unsure(UNSURE))
    found = workbook.load(path, worksheet="Unverified", unverified=True)
    assert [metric.name for metric in found.metrics] == ["THD_V"]
