"""What the rows of a metrics sheet must satisfy together; the faults go to their cells.

The rules are in `checks`. Used by `workbook`.
"""

from typing import Any

from emdc.meters import checks, rows, settings
from emdc.meters.cells import Cell, nearest
from emdc.meters.findings import Findings
from emdc.meters.register_map import MAX_REGISTERS, named_ratio


def check_sheet(found: list[rows.Row], values: dict[str, Any], findings: Findings) -> None:
    """Everything that concerns more than one row; `values` are those of the sheet Meter."""
    _check_names(found, findings)
    _check_numbering(found, values, findings)
    _check_base(found, values.get("address_base", 0), findings)
    _check_sharing(found, findings)
    _check_registers(found, findings)
    _check_ratios(found, values, findings)
    _check_identity(found, values, findings)
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
            f"{second.name} lies on registers of {first.name} ({place[first.name]}), "
            f"{checks.overlap(first, second)}",
        )


def _check_registers(found: list[rows.Row], findings: Findings) -> None:
    cells = {id(row.metric): row.cells for row in found if row.metric is not None}
    metrics = [row.metric for row in found if row.metric is not None]
    for metric, problem in checks.register_faults(metrics):
        findings.fault(cells[id(metric)]["scale_register"].place, problem)


def _check_ratios(found: list[rows.Row], values: dict[str, Any], findings: Findings) -> None:
    known = {row.metric.name: row.metric for row in found if row.metric is not None}
    for key in ("ct_ratio", "pt_ratio"):
        said = values.get(key, "")
        names = named_ratio(said, known)
        if said and not names:
            findings.fault(
                settings.SHEET, f"{key}: {said!r}, expected NAME or NAME/NAME of metrics of the map"
            )
        for name in names:
            if (problem := checks.number_fault(known[name])) is not None:
                findings.fault(settings.SHEET, f"{key}: {name!r} {problem}")


def _check_identity(found: list[rows.Row], values: dict[str, Any], findings: Findings) -> None:
    said = values.get("identity", "")
    names = {row.metric.name for row in found if row.metric is not None}
    if said and said not in names:
        hint = nearest(said, names)
        findings.fault(settings.SHEET, f"identity: {said!r}, expected a metric of the map{hint}")


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
    if not odd or values.get("address_base") == 0:
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


def _check_base(found: list[rows.Row], base: int, findings: Findings) -> None:
    for row in found:
        if row.metric is not None and 0 <= row.metric.address < base:
            findings.fault(
                row.cells["address"].place,
                f"address {row.metric.address}, expected {base} or more with address_base {base}",
            )
