"""The optional sheet `Meter`: what holds for a model as a whole, as rows of a key and a value.

A new setting is one row in READERS. Used by `workbook`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from emdc.meters import cells
from emdc.meters.cells import Cell, CellError, nearest
from emdc.meters.findings import Findings
from emdc.meters.register_map import MAX_REGISTERS

SHEET: Final = "Meter"


def _whole(low: int, high: int) -> Callable[[Cell, Findings], int]:
    def read(cell: Cell, findings: Findings) -> int:
        value = cells.whole(cell, findings)
        if not low <= value <= high:
            raise CellError(f"{value}, expected {low} to {high}")
        return value

    return read


READERS: Final[dict[str, Callable[[Cell, Findings], Any]]] = {
    "model": cells.text,
    "vendor": cells.text,
    "max_gap": _whole(0, MAX_REGISTERS - 2),
    "max_registers": _whole(1, MAX_REGISTERS),
    # What addresses count from: 1 as in many manuals, or 0 as on the wire. Said, 0 means too that
    # those from 40001 up are meant as they stand, as in SunSpec meters.
    "address_base": _whole(0, 1),
    # NAME or NAME/NAME of metrics that hold it, for meters that are set to read it.
    "ct_ratio": cells.text,
    "pt_ratio": cells.text,
    # NAME of the metric that tells one meter of the model from another.
    "identity": cells.text,
    "units": cells.text,
    "function_codes": cells.text,
    "notes": cells.text,
    "sources": cells.text,
    "certainty": cells.text,
}
_HEADERS: Final = frozenset({"key", "setting", "name"})


def read(rows: Iterable[Sequence[Cell]], findings: Findings) -> dict[str, Any]:
    """The settings of a model by name; faults and unknown keys go to `findings`."""
    values: dict[str, Any] = {}
    for index, row in enumerate(rows):
        key_cell, cell = row[0], row[1]
        if key_cell.is_blank:
            continue
        key = "_".join(str(key_cell.value).casefold().replace("_", " ").split())
        if key not in READERS:
            if index or key not in _HEADERS:
                hint = nearest(key, READERS)
                findings.warn(key_cell.place, f"setting {key!r} is not known and ignored{hint}")
        elif key in values:
            findings.fault(key_cell.place, f"a second {key}: delete one")
        elif not cell.is_blank:
            _take(values, key, cell, findings)
    return values


def _take(values: dict[str, Any], key: str, cell: Cell, findings: Findings) -> None:
    try:
        values[key] = READERS[key](cell, findings)
    except CellError as fault:
        findings.fault(cell.place, f"{key}: {fault}")
