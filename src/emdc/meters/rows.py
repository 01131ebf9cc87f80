"""From the rows of a metrics sheet to metrics: which column means what, and what its cells hold.

The first six columns go by position, whatever their header says; old sheets depend on it.
Further columns are optional and go by header. A new column is one row in OPTIONAL and a field of
Metric. Used by `workbook`.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, get_args

from emdc.meters import cells
from emdc.meters.cells import Cell, CellError, nearest
from emdc.meters.checks import metric_faults
from emdc.meters.findings import Findings
from emdc.meters.register_map import Code, DataType, Metric, WordOrder

Reader: TypeAlias = Callable[[Cell, Findings], Any]

DATA_TYPES: Final = {kind.value.lower(): kind for kind in DataType}
_USUAL_TYPES: Final = {
    **dict.fromkeys(("float", "real", "single"), DataType.FLOAT32),
    "double": DataType.FLOAT64,
    **dict.fromkeys(("word", "uint", "unsigned"), DataType.UINT16),
    **dict.fromkeys(("int", "short", "signed"), DataType.INT16),
    "dword": DataType.UINT32,
    "long": DataType.INT32,
}
"""What manuals and programming languages call a data type."""
ORDERS: Final[Mapping[str, WordOrder]] = {"big": "big", "little": "little"}
KINDS: Final = {"gauge": "gauge", "counter": "counter", "text": "text"}
CODES: Final = {code: code for code in get_args(Code)}
RATIOS: Final = {"ct": "ct", "pt": "pt", "ct*pt": "ct*pt", "pt*ct": "ct*pt"}


def _words(allowed: Mapping[str, Any], usual: Mapping[str, str] = cells.NO_WORDS) -> Reader:
    def read(cell: Cell, findings: Findings) -> Any:
        return cells.word(cell, allowed, findings, usual)

    return read


_LETTERS: Final[Mapping[str, tuple[WordOrder, str]]] = {
    "abcd": ("big", "big"),
    "cdab": ("little", "big"),
    "badc": ("big", "little"),
    "dcba": ("little", "little"),
}
"""The four bytes of a number, highest first, in the order in which they come."""


def _word_order(cell: Cell, findings: Findings) -> WordOrder:
    letters = "".join(str(cell.value).casefold().split())
    if letters not in _LETTERS:
        return cells.word(cell, ORDERS, findings)
    words, octets = _LETTERS[letters]
    if octets != "big":
        raise CellError(
            f"{letters.upper()}, expected big or little: write {words} here and "
            f"{octets} in a column Byte Order"
        )
    return words


def _scale(cell: Cell, findings: Findings) -> float | int:
    value = cells.number(cell, findings)
    if value == 0:
        raise CellError("scaling factor 0, expected 1 for no scaling")
    return value


def _rollover(cell: Cell, findings: Findings) -> float | int:
    value = cells.number(cell, findings)
    if value <= 0:
        raise CellError(f"{value}, expected a number above 0")
    return value


def _between(low: int, high: int, read: Reader, cell: Cell, findings: Findings) -> Any:
    value = read(cell, findings)
    if not low <= value <= high:
        raise CellError(f"{value}, expected {low} to {high}")
    return value


class Column(NamedTuple):
    """One column: the field of Metric that it fills, its header, how a cell of it is read."""

    field: str
    header: str
    read: Reader


REQUIRED: Final = (
    Column("name", "Metric Name", cells.name),
    Column("description", "Metric Description", cells.text),
    Column("address", "Metric Address", cells.whole),
    Column("size", "Metric Size", cells.whole),
    Column("scale", "Scaling Factor", _scale),
    Column("data_type", "Data Type", _words(DATA_TYPES, _USUAL_TYPES)),
)

OPTIONAL: Final = (
    Column("unit", "Unit", cells.text),
    Column("function_code", "Function Code", partial(_between, 1, 4, cells.whole)),
    Column("word_order", "Word Order", _word_order),
    Column("byte_order", "Byte Order", _words(ORDERS)),
    Column("bits", "Bits", cells.bit_field),
    Column("offset", "Offset", cells.number),
    Column("invalid", "Invalid", cells.patterns),
    Column("minimum", "Minimum", cells.number),
    Column("maximum", "Maximum", cells.number),
    Column("rollover", "Rollover", _rollover),
    Column("interval_s", "Interval (s)", partial(_between, 1, 86_400, cells.number)),
    Column("kind", "Kind", _words(KINDS)),
    Column("code", "Code", _words(CODES)),
    Column("scale_register", "Scale Register", cells.text),
    Column("ratio", "Ratio", _words(RATIOS)),
    Column("group", "Group", cells.text),
    Column("certainty", "Certainty", cells.text),
)

_READERS: Final = {column.field: column.read for column in (*REQUIRED, *OPTIONAL)}
_MAY_BE_BLANK: Final = frozenset(
    {"description", *(column.field for column in OPTIONAL)},
)


class Row(NamedTuple):
    """One row that holds a metric: the cell of every known column, and the metric if it is good."""

    number: int
    cells: dict[str, Cell]
    metric: Metric | None


def columns(header: Sequence[Cell], findings: Findings) -> dict[int, str]:
    """Which field of Metric each column fills, by its index from 0.

    A second optional column of one name is a fault; a header that is not known is warned of.
    """
    found = {index: column.field for index, column in enumerate(REQUIRED)}
    _check_header(header, findings)
    by_header = {_folded(column.header): column.field for column in OPTIONAL}
    by_header["interval"] = "interval_s"
    for index, cell in enumerate(header[len(REQUIRED) :], start=len(REQUIRED)):
        field = by_header.get(_folded(cell.value))
        if field is None:
            _warn_unknown(cell, findings)
        elif field in found.values():
            findings.fault(cell.place, f"a second column {cell.value!r}: delete or rename one")
        else:
            found[index] = field
    return found


def read(number: int, row: Sequence[Cell], fields: Mapping[int, str], findings: Findings) -> Row:
    """One row as a metric; every fault in it goes to `findings`."""
    known = {field: row[index] for index, field in fields.items()}
    before = len(findings.faults)
    values = _values(known, findings)
    if len(findings.faults) > before:
        return Row(number, known, None)
    metric = Metric(**values)
    for field, problem in metric_faults(metric):
        findings.fault(known.get(field, known["name"]).place, problem)
    return Row(number, known, metric)


def _values(known: Mapping[str, Cell], findings: Findings) -> dict[str, Any]:
    values: dict[str, Any] = {}
    is_text = str(known["data_type"].value).strip().upper() == DataType.STRING
    for field, cell in known.items():
        if cell.is_blank and (field in _MAY_BE_BLANK or (is_text and field == "scale")):
            continue
        try:
            values[field] = _READERS[field](cell, findings)
        except CellError as fault:
            findings.fault(cell.place, str(fault))
    if is_text:
        values.setdefault("kind", "text")
    if "invalid" in values and "data_type" in values:
        values["invalid"] = _patterns(values["data_type"], values["invalid"])
    return values


def _patterns(data_type: DataType, found: Sequence[int | None]) -> tuple[int, ...]:
    """The patterns of a cell, with those of the type in place of its None."""
    lists = [data_type.no_value if one is None else (one,) for one in found]
    return tuple(dict.fromkeys(itertools.chain(*lists)))


def misplaced(header: Sequence[Cell]) -> list[tuple[Cell, str]]:
    """Cells with the header of another column, or a part of it, and what is read in their place."""
    known = [set(_folded(column.header).split()) for column in (*REQUIRED, *OPTIONAL)]
    return [
        (cell, column.header)
        for index, (cell, column) in enumerate(zip(header, REQUIRED, strict=False))
        if (said := set(_folded(cell.value or "").split()))
        and not said <= known[index]
        and any(said <= words for words in known)
    ]


def _check_header(header: Sequence[Cell], findings: Findings) -> None:
    """Warn of a known header in a wrong place; a first row that is no header is a fault."""
    for cell, expected in misplaced(header):
        findings.warn(
            cell.place,
            f"header {cell.value!r} where {expected!r} is read: "
            "the first six columns go by position",
        )
    address = header[2]
    if isinstance(address.value, int | float) or str(address.value).strip().isdigit():
        findings.fault(
            address.place, "a number in the first row, expected the header: insert a row above it"
        )


def _warn_unknown(cell: Cell, findings: Findings) -> None:
    if not cell.is_blank:
        shown = str(cell.value).strip()[:40]
        hint = nearest(_folded(cell.value), [column.header for column in OPTIONAL])
        findings.warn(cell.place, f"column {shown!r} is not known and ignored{hint}")


def _folded(header: object) -> str:
    shown = str(header).replace("\ufeff", "").replace("_", " ").casefold()
    return " ".join(shown.split())
