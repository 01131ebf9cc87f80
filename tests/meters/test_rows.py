import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from emdc.errors import RegisterMapError
from emdc.meters import rows, settings
from emdc.meters.register_map import DataType, Metric
from tests.meters import sheets
from tests.meters.sheets import CURRENT, VOLTAGE, fault, parse, row


def one(*, extra: Sequence[str] = (), more: Sequence[Any] = (), **changed: Any) -> Metric:
    """The metric of a workbook with one row."""
    return parse(sheets.data([*row(**changed), *more], extra=extra)).metrics[0]


def wrong(*, extra: Sequence[str] = (), more: Sequence[Any] = (), **changed: Any) -> str:
    """The one fault of a workbook with one row, as `place: problem`."""
    return ": ".join(fault(sheets.data([*row(**changed), *more], extra=extra)))


def test_the_six_columns_go_by_position_in_any_language() -> None:
    book = sheets.replaced(sheets.data(VOLTAGE), ">Metric Address<", ">Indirizzo<")
    assert parse(book).metrics[0].address == 179


def test_a_known_header_in_a_wrong_place_is_warned_of() -> None:
    swapped = sheets.replaced(sheets.data(VOLTAGE), ">Metric Address<", ">Metric Size<")
    assert "Metrics!C1: header 'Metric Size' where" in parse(swapped).warnings[0]


def test_headers_in_wrong_places_are_named_before_the_faults_that_they_make() -> None:
    book = sheets.data(row(size="INT32", data_type=2), CURRENT)
    for ours, theirs in (("Metric Size", "Type"), ("Data Type", "Metric Size")):
        book = sheets.replaced(book, f">{ours}<", f">{theirs}<")
    with pytest.raises(RegisterMapError) as caught:
        parse(book)
    first, *others = caught.value.faults
    assert first == (
        "Metrics!D1",
        "the first six columns go by position: 'Type' where Metric Size is read, "
        "'Metric Size' where Data Type is read",
    )
    assert [place for place, _ in others] == ["Metrics!D2", "Metrics!F2"]


def test_a_first_row_that_is_a_metric_is_not_lost_silently() -> None:
    header = '<c r="C1" t="inlineStr"><is><t>Metric Address</t></is></c>'
    book = sheets.replaced(sheets.data(VOLTAGE), header, '<c r="C1"><v>179</v></c>')
    place, problem = fault(book)
    assert place == "Metrics!C1"
    assert "insert a row above it" in problem


def test_a_formula_with_its_cached_value_loads() -> None:
    book = sheets.replaced(
        sheets.data(VOLTAGE),
        "<v>1.52587890625e-05</v>",
        "<f>POWER(2,-16)</f><v>1.52587890625E-05</v>",
    )
    assert parse(book).metrics[0].scale == 2.0**-16


def test_a_formula_without_a_cached_value_names_the_cell_and_the_mend() -> None:
    problem = wrong(scale="=POWER(2,-16)")
    assert problem.startswith("Metrics!E2: formula without a stored result")
    assert "open the workbook in a spreadsheet program and save it" in problem


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#DIV/0!"])
def test_an_error_value_is_a_fault_with_its_cell(error: str) -> None:
    book = sheets.replaced(
        sheets.data(VOLTAGE), '<c r="C2" t="n"><v>179</v>', f'<c r="C2" t="e"><v>{error}</v>'
    )
    assert fault(book) == ("Metrics!C2", f"{error} is an error, expected a value")


def test_every_optional_column_is_found_by_its_header() -> None:
    header = (
        *(" unit", "FUNCTION CODE", "Word\u00a0Order", "Offset", "\ufeffInvalid", "Minimum"),
        *("Maximum", "Interval (s)", "kind", "Code", "Ratio", "Certainty", "byte order", "Group"),
        "ROLLOVER",
    )
    values = (
        *("V", 4, "CDAB", -1.5, "0x80000000", 0, 1e3, 60, "Counter", "plain", "CT * PT", "ok"),
        *("Little", "power", 1e6),
    )
    expected = Metric(
        *("Voltage_AN", 179, 2, DataType.INT32, 2.0**-16),
        description="1s Phase A-N Voltage",
        unit="V",
        function_code=4,
        word_order="little",
        offset=-1.5,
        invalid=(0x80000000,),
        minimum=0,
        maximum=1000,
        interval_s=60,
        kind="counter",
        ratio="ct*pt",
        certainty="ok",
        byte_order="little",
        group="power",
        rollover=1_000_000,
    )
    assert one(extra=header, more=values) == expected
    blank = dataclasses.replace(one(), description="1s Phase A-N Voltage")
    assert one(extra=header, more=[None] * len(header)) == blank


def test_an_unknown_column_is_warned_of_once_and_ignored() -> None:
    found = parse(sheets.data([*VOLTAGE, "x"], [*CURRENT, "y"], extra=("Minimu",)))
    assert found.warnings == (
        "Metrics!G1: column 'Minimu' is not known and ignored (did you mean Minimum?)",
    )


def test_a_second_column_of_one_name_is_a_fault() -> None:
    assert fault(sheets.data(VOLTAGE, extra=("Unit", "unit ")))[0] == "Metrics!H1"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"name": None}, "A2: empty, expected a text"),
        ({"name": "n" * 256}, "A2: 256 characters, expected at most 255"),
        ({"name": "a\nb"}, "A2: control character '\\n' in a name"),
        ({"address": None}, "C2: empty, expected a number"),
        ({"address": True}, "C2: TRUE where a number is needed"),
        ({"address": datetime.datetime(2024, 2, 1)}, "C2: date where a number is needed"),  # noqa: DTZ001
        ({"address": datetime.time(1, 2)}, "C2: date where a number is needed"),
        ({"address": "502 "}, "write it without spaces"),
        ({"address": "0x1F6"}, "write it in decimal"),
        ({"address": "5e2"}, "expected a whole number in digits"),
        ({"address": "\uff15\uff10\uff12"}, "write it with the digits 0 to 9"),
        ({"address": 502.5}, "C2: 502.5 is not a whole number"),
        ({"address": -1}, "C2: address -1, expected 0 to 65535"),
        ({"address": 65535}, "address 65535 with size 2 ends at 65536"),
        ({"address": 65536}, "address 65536, expected 0 to 65535"),
        ({"address": 400180}, "address 400180 is a register number: subtract 400001"),
        ({"address": 40180}, "subtract 40001"),
        ({"size": 0}, "D2: size 0 for INT32, expected 2"),
        ({"size": 3, "data_type": "FLOAT32"}, "D2: size 3 for FLOAT32, expected 2"),
        ({"size": 126, "data_type": "STRING", "scale": 1}, "expected 1 to 125"),
        ({"scale": None}, "E2: empty, expected a number"),
        ({"scale": 0}, "E2: scaling factor 0, expected 1"),
        ({"scale": -0.0}, "E2: scaling factor 0, expected 1"),
        ({"scale": "NaN"}, "E2: 'NaN' is not a number"),
        ({"scale": "Infinity"}, "E2: 'Infinity' is not a number"),
        ({"scale": 1e-310}, "too close to zero"),
        ({"scale": "0,1"}, "write the decimals after a point"),
        ({"scale": "1.000,5"}, "write the decimals after a point"),
        ({"scale": "1 000"}, "write it without spaces"),
        ({"scale": "\u22121"}, "write an ordinary minus"),
        ({"scale": "ten"}, "E2: 'ten' is not a number"),
        ({"data_type": "float"}, "F2: 'float', expected one of UINT8, UINT16"),
        ({"data_type": "float"}, "(did you mean FLOAT32?)"),
        ({"data_type": "uint-32"}, "(did you mean UINT32?)"),
        ({"data_type": "Double"}, "(did you mean FLOAT64?)"),
        ({"data_type": None}, "F2: empty, expected a text"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named_with_a_hint(
    changed: dict[str, Any], problem: str
) -> None:
    found = wrong(**changed)
    assert found.startswith("Metrics!")
    assert problem in found


@pytest.mark.parametrize(
    ("header", "value", "problem"),
    [
        ("Function Code", 5, "G2: 5, expected 1 to 4"),
        ("Word Order", "ACBD", "'ACBD', expected one of big, little"),
        ("Word Order", "badc", "BADC, expected big or little: write big here and little in a"),
        ("Word Order", "DC BA", "DCBA, expected big or little: write little here and little in a"),
        ("Byte Order", "CDAB", "'CDAB', expected one of big, little"),
        ("Invalid", 1 << 32, "pattern 0x100000000 does not fit 32 bits"),
        ("Invalid", -1, "expected the raw pattern from 0 up"),
        ("Invalid", "0xZZ", "expected a raw pattern such as"),
        ("Invalid", "0x8000; 0x1FFFFFFFF", "pattern 0x1ffffffff does not fit 32 bits"),
        ("Invalid", "0x8000; none", "'none', expected a raw pattern such as"),
        ("Bits", "low", "'low', expected a bit such as 3 or several such as 0-3"),
        ("Bits", "0-3", "bits of INT32, expected one of UINT8, UINT16, UINT32, UINT64"),
        ("Bits", 1.5, "1.5 is not a whole number"),
        ("Bits", datetime.datetime(2024, 3, 1), "date where a number is needed"),  # noqa: DTZ001
        ("Scale Register", "Voltage_AN", "'Voltage_AN' is this metric, expected another one"),
        ("Scale Register", "SF", "no metric 'SF' in the map"),
        ("Scale Register", "-", "'-', expected the name of a metric"),
        ("Code", "f64", "'' for the code f64, expected the name of the metric that holds"),
        ("Code", "mod10k_low", "code mod10k_low for INT32, expected UINT32 or UINT64"),
        ("Code", "BCD7", "'BCD7', expected one of plain, f8_pf, pf4q, bcd, mod10k, mod10k_low"),
        ("Interval (s)", 0.5, "0.5, expected 1 to 86400"),
        ("Interval", 86_401, "expected 1 to 86400"),
        ("Kind", "meter", "expected one of gauge, counter, text"),
        ("Kind", "text", "kind text for INT32, expected gauge or counter"),
        ("Code", "f8_pf", "code f8_pf for INT32, expected UINT16"),
        ("Code", "bcd", "code bcd for INT32, expected UINT8 or UINT16 or UINT32 or UINT64"),
        ("Code", "mod10k", "code mod10k for INT32, expected UINT32 or UINT64"),
        ("Ratio", "vt", "expected one of ct, pt, ct*pt"),
        ("Offset", "#", "is not a number"),
    ],
)
def test_an_optional_cell_that_cannot_be_used_is_named(
    header: str, value: Any, problem: str
) -> None:
    assert problem in wrong(extra=(header,), more=(value,))


def test_an_infinite_scale_is_a_fault() -> None:
    book = sheets.replaced(sheets.data(VOLTAGE), "<v>1.52587890625e-05</v>", "<v>1E999</v>")
    assert fault(book) == ("Metrics!E2", "too large or not a number, expected a finite number")


UINT16 = {"size": 1, "data_type": "UINT16", "scale": 1}


@pytest.mark.parametrize(
    ("cell", "patterns"),
    [
        *((0x8000, (0x8000,)), ("0x8000", (0x8000,)), ("32768", (0x8000,))),
        *(("0x8000;0xFFFF", (0x8000, 0xFFFF)), (" 1 ; 2 ; ", (1, 2)), ("1;1", (1,))),
        *(
            ("type", (0xFFFF,)),
            ("Type; 0x7FFF", (0xFFFF, 0x7FFF)),
            ("0x7FFF;type", (0x7FFF, 0xFFFF)),
        ),
    ],
)
def test_patterns_stand_with_semicolons_and_type_is_the_usual_one(
    cell: object, patterns: tuple[int, ...]
) -> None:
    assert one(extra=("Invalid",), more=(cell,), **UINT16).invalid == patterns


@pytest.mark.parametrize(
    ("data_type", "size", "patterns"),
    [
        *(("INT8", 1, (0x8000,)), ("UINT8", 1, (0xFF00,)), ("INT16", 1, (0x8000,))),
        *(("UINT16", 1, (0xFFFF,)), ("INT32", 2, (0x80000000,)), ("UINT32", 2, (0xFFFFFFFF,))),
        *(("INT64", 4, (1 << 63,)), ("UINT64", 4, ((1 << 64) - 1,))),
        *(("FLOAT32", 2, ()), ("FLOAT64", 4, ()), ("STRING", 5, (0,))),
    ],
)
def test_the_usual_pattern_is_as_wide_as_its_type(
    data_type: str, size: int, patterns: tuple[int, ...]
) -> None:
    changed = {"data_type": data_type, "size": size, "scale": 1}
    assert one(extra=("Invalid",), more=("type",), **changed).invalid == patterns


@pytest.mark.parametrize(
    ("cell", "bits"), [(3, (3, 3)), ("3", (3, 3)), ("0-3", (0, 3)), (" 8 - 15", (8, 15))]
)
def test_bits_are_one_or_a_first_and_a_last(cell: object, bits: tuple[int, int]) -> None:
    assert one(extra=("Bits",), more=(cell,), **UINT16).bits == bits


@pytest.mark.parametrize("cell", [16, "4-16", "3-0", "99"])
def test_bits_that_the_type_does_not_have_are_a_fault(cell: object) -> None:
    assert "expected the lower one first, from 0 to 15" in wrong(
        extra=("Bits",), more=(cell,), **UINT16
    )
    assert "from 0 to 7" in wrong(extra=("Bits",), more=(cell,), **{**UINT16, "data_type": "UINT8"})


def test_what_does_not_go_together_is_a_fault() -> None:
    both = wrong(extra=("Bits", "Code"), more=("0-3", "bcd"), **UINT16)
    assert both == "Metrics!G2: bits together with the code bcd: empty one of the cells"
    bit = wrong(extra=("Bits", "Function Code"), more=("0", 1), **UINT16)
    assert bit.startswith("Metrics!G2: bits for function code 1, which reads one bit")
    twice = {**UINT16, "size": 2, "data_type": "UINT32"}
    low = wrong(extra=("Code", "Word Order"), more=("mod10k_low", "little"), **twice)
    assert low == "Metrics!H2: little for mod10k_low, which says it already: empty the cell"


SCALE = ("SF", "", 10, 1, 1, "INT16")


def test_a_scale_register_is_a_metric_of_the_map() -> None:
    found = parse(sheets.data([*VOLTAGE, "SF"], SCALE, extra=("Scale Register",)))
    assert found.metrics[0].scale_register == "SF"
    assert [term.metric for term in found.metrics[0].scale_terms] == ["SF"]


@pytest.mark.parametrize(
    ("register", "row", "problem"),
    [
        ("SFF", SCALE, "no metric 'SFF' in the map (did you mean SF?)"),
        ("SF", ("SF", "", 10, 2, 1, "STRING"), "'SF' is a text, expected a number"),
        ("SF", (*SCALE, "X"), "'SF' has a scale register itself, expected a metric without one"),
        ("1/SF; -SF", (*SCALE, None, "ct"), "'SF' has a ratio itself"),
    ],
)
def test_a_scale_register_that_cannot_be_one_is_named(
    register: str, row: Sequence[Any], problem: str
) -> None:
    book = sheets.data(
        [*VOLTAGE, register], row, ("X", *SCALE[1:]), extra=("Scale Register", "Ratio")
    )
    found = sheets.faults(book)
    assert found[0][0] == "Metrics!G2"
    assert problem in found[0][1]


def test_bits_of_one_register_are_no_twins_unless_they_overlap() -> None:
    def warnings(*bits: str) -> tuple[str, ...]:
        lines = [(f"b{n}", "", 10, 1, 1, "UINT16", bit) for n, bit in enumerate(bits)]
        return parse(sheets.data(*lines, extra=("Bits",))).warnings

    assert warnings("0-3", "4", "5-15") == ()
    assert len(warnings("0-3", "3")) == 1
    assert len(warnings("0-3", "")) == 1


def test_a_minimum_above_the_maximum_is_a_fault() -> None:
    assert "maximum 1 below minimum 2" in wrong(extra=("Minimum", "Maximum"), more=(2, 1))


@pytest.mark.parametrize("value", [0, -1])
def test_a_counter_begins_again_above_zero(value: int) -> None:
    problem = wrong(extra=("Kind", "Rollover"), more=("counter", value))
    assert problem == f"Metrics!H2: {value}, expected a number above 0"


def test_what_is_no_counter_begins_nowhere_again() -> None:
    problem = wrong(extra=("Rollover",), more=(1000,))
    assert problem.startswith("Metrics!G2: rollover of a gauge, expected a counter")
    text = wrong(extra=("Rollover",), more=(1000,), size=8, scale=None, data_type="STRING")
    assert text == "Metrics!G2: rollover for a STRING, which is no number: empty the cell"


def test_a_bit_has_size_one_and_an_integer_type() -> None:
    bit = {"size": 1, "data_type": "UINT16", "scale": 1}
    assert one(extra=("Function Code",), more=(1,), **bit).function_code == 1
    assert "expected 1 bit" in wrong(extra=("Function Code",), more=(2,), **{**bit, "size": 2})
    assert "single bit, expected UINT8 or UINT16" in wrong(
        extra=("Function Code",), more=(1,), **{**bit, "data_type": "INT16"}
    )


@pytest.mark.parametrize(
    ("value", "scale"), [(1.0, 1), (1000.0, 1000), (-1, -1), (1e308, 1e308), (0.1, 0.1)]
)
def test_a_whole_scale_is_an_integer(value: float, scale: float) -> None:
    found = one(scale=value).scale
    assert (found, type(found)) == (scale, type(scale))


def test_numbers_stored_as_text_load_with_a_warning() -> None:
    found = parse(sheets.data(row(address="502", scale="0.1")))
    assert (found.metrics[0].address, found.metrics[0].scale) == (502, 0.1)
    assert found.warnings == (
        "Metrics!C2: the number 502 is stored as text",
        "Metrics!E2: the number 0.1 is stored as text",
    )


def test_a_float_that_is_whole_is_an_address() -> None:
    assert one(address=502.0).address == 502


def test_the_last_registers_can_be_read() -> None:
    assert one(address=65534).address == 65534


@pytest.mark.parametrize("data_type", ["int32", "Int32", " INT32 "])
def test_the_case_of_a_type_does_not_matter(data_type: str) -> None:
    assert one(data_type=data_type).data_type is DataType.INT32


def test_a_string_needs_no_scale_and_is_text() -> None:
    found = one(size=8, scale=None, data_type="STRING")
    assert (found.kind, found.scale, found.size) == ("text", 1, 8)


def test_what_a_string_cannot_have_is_a_fault() -> None:
    problem = wrong(size=8, scale=0.5, data_type="STRING")
    assert problem == "Metrics!E2: scale for a STRING, which is no number: empty the cell"


@pytest.mark.parametrize(
    "name",
    [
        *("a/b", "a.b", "*", ">", "it's", '"', "\U0001f50c", "\u202eab", "e\u0301"),
        *("'; DROP TABLE x;--", "<script>"),
    ],
)
def test_a_strange_name_is_kept_as_it_is(name: str) -> None:
    assert one(name=name).name == name


def test_a_name_that_starts_like_a_formula_is_kept_when_it_is_text() -> None:
    book = sheets.replaced(sheets.data(VOLTAGE), ">Voltage_AN<", ">=cmd()<")
    assert parse(book).metrics[0].name == "=cmd()"


def test_spaces_around_a_name_are_dropped_with_a_warning() -> None:
    found = parse(sheets.data(row(name="W ")))
    assert (found.metrics[0].name, len(found.warnings)) == ("W", 1)


def test_a_date_beyond_the_calendar_is_a_fault_of_its_cell() -> None:
    book = sheets.data(row(address=datetime.datetime(2024, 2, 1)))  # noqa: DTZ001
    content = sheets.repacked(
        book, {sheets.METRICS_PART: lambda part: part.replace(b"<v>45323</v>", b"<v>9E9</v>")}
    )
    assert content != book
    assert fault(content)[0] == "Metrics!C2"


def test_the_documentation_names_every_column_type_and_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "maps.md").read_text(encoding="utf-8")
    for column in (*rows.REQUIRED, *rows.OPTIONAL):
        assert column.header in page
    for word in (*DataType, *rows.KINDS, *rows.CODES, *rows.RATIOS.values(), *settings.READERS):
        assert word in page
