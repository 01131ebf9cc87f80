"""What a metric, and a sheet of metrics, must satisfy beyond the form of each cell.

Pure; `rows` and `workbook` attach the cells. Each fault names the field of Metric that it is about.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Final

from emdc.meters.register_map import MAX_REGISTERS, DataType, Metric

ADDRESSES: Final = 65_536
_CODED: Final[dict[str, set[DataType]]] = {
    "f8_pf": {DataType.UINT16},
    "bcd": {DataType.UINT8, DataType.UINT16, DataType.UINT32, DataType.UINT64},
    "mod10k": {DataType.UINT32, DataType.UINT64},
}
_BITS: Final = {DataType.UINT8, DataType.UINT16}


def metric_faults(metric: Metric) -> Iterator[tuple[str, str]]:
    """(field, problem) of everything in one metric that does not fit together."""
    for check in _CHECKS:
        yield from check(metric)


def _size(metric: Metric) -> Iterator[tuple[str, str]]:
    size, wanted = metric.size, metric.data_type.registers
    if metric.function_code < 3:
        if size != 1:
            yield "size", f"size {size} for function code {metric.function_code}, expected 1 bit"
        if metric.data_type not in _BITS:
            yield "data_type", f"{metric.data_type} for a single bit, expected UINT8 or UINT16"
    elif wanted is None:
        if not 1 <= size <= MAX_REGISTERS:
            yield "size", f"size {size} for {metric.data_type}, expected 1 to {MAX_REGISTERS}"
    elif size != wanted:
        yield "size", f"size {size} for {metric.data_type}, expected {wanted}"


def _address(metric: Metric) -> Iterator[tuple[str, str]]:
    address, last = metric.address, metric.address + max(metric.size, 1) - 1
    if 400_001 <= address <= 400_000 + ADDRESSES:
        yield "address", f"address {address} is a register number: subtract 400001"
    elif not 0 <= address < ADDRESSES:
        yield "address", f"address {address}, expected 0 to {ADDRESSES - 1}"
    elif last >= ADDRESSES:
        yield (
            "address",
            f"address {address} with size {metric.size} ends at {last}, "
            f"the last register is {ADDRESSES - 1}",
        )


def _limits(metric: Metric) -> Iterator[tuple[str, str]]:
    low, high = metric.minimum, metric.maximum
    if low is not None and high is not None and low > high:
        yield "maximum", f"maximum {high} below minimum {low}"
    bits = 16 * metric.size if metric.function_code >= 3 else 1
    if metric.invalid is not None and 0 < metric.size <= 4 and metric.invalid >> bits:
        yield (
            "invalid",
            f"pattern {metric.invalid:#x} does not fit {bits} bits: "
            "a long pattern is exact only as text such as 0xFFFFFFFFFFFFFFFF",
        )


def _coding(metric: Metric) -> Iterator[tuple[str, str]]:
    allowed = _CODED.get(metric.code)
    if allowed is None:
        return
    if metric.data_type not in allowed:
        names = " or ".join(kind.value for kind in DataType if kind in allowed)
        yield "code", f"code {metric.code} for {metric.data_type}, expected {names}"
    if metric.function_code < 3:
        yield (
            "code",
            f"code {metric.code} for function code {metric.function_code}, expected 3 or 4",
        )


def _text(metric: Metric) -> Iterator[tuple[str, str]]:
    is_text = metric.data_type is DataType.STRING
    if (metric.kind == "text") != is_text:
        yield "kind", f"kind {metric.kind} for {metric.data_type}, expected {_kinds(is_text)}"
    if not is_text:
        return
    unused = {
        "scale": metric.scale != 1,
        "offset": metric.offset != 0,
        "invalid": metric.invalid is not None,
        "minimum": metric.minimum is not None,
        "maximum": metric.maximum is not None,
        "code": metric.code != "plain",
        "ratio": metric.ratio != "",
    }
    for field, is_set in unused.items():
        if is_set:
            yield field, f"{field} for a STRING, which is no number: empty the cell"


def _kinds(is_text: bool) -> str:
    return "text" if is_text else "gauge or counter"


_CHECKS: Final[tuple[Callable[[Metric], Iterator[tuple[str, str]]], ...]] = (
    _size,
    _address,
    _limits,
    _coding,
    _text,
)


def folded(name: str) -> str:
    """A metric name as a database with a case-insensitive collation compares it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def shared_registers(metrics: Iterable[Metric]) -> Iterator[tuple[Metric, Metric]]:
    """Pairs of metrics that lie on the same registers, the second of each starting later or equal.

    Only neighbours in the order of addresses are compared: enough to say where to look.
    """
    in_order = sorted(metrics, key=lambda metric: (metric.function_code, metric.address))
    for first, second in pairwise(in_order):
        same_table = first.function_code == second.function_code
        if same_table and second.address < first.address + first.size:
            yield first, second


def looks_one_based(address: int) -> bool:
    """Like a holding register's number as manuals print it, 40001 being the first."""
    return 40_001 <= address <= 49_999
