"""What a metric, and a sheet of metrics, must satisfy beyond the form of each cell.

Pure; `rows` and `workbook` attach the cells. Each fault names the field of Metric that it is about.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from emdc.meters.cells import nearest
from emdc.meters.register_map import MAX_REGISTERS, DataType, Metric
from emdc.modbus.pdu import ADDRESSES

_UNSIGNED: Final = {DataType.UINT8, DataType.UINT16, DataType.UINT32, DataType.UINT64}
_CODED: Final[dict[str, set[DataType]]] = {
    "f8_pf": {DataType.UINT16},
    "pf4q": {DataType.INT16, DataType.INT32, DataType.FLOAT32, DataType.FLOAT64},
    "bcd": _UNSIGNED,
    "mod10k": {DataType.UINT32, DataType.UINT64},
    "mod10k_low": {DataType.UINT32, DataType.UINT64},
    "f64": {DataType.INT32, DataType.UINT32},
}
_ONE_BIT: Final = {DataType.UINT8, DataType.UINT16}


def metric_faults(metric: Metric) -> Iterator[tuple[str, str]]:
    """(field, problem) of everything in one metric that does not fit together."""
    for check in _CHECKS:
        yield from check(metric)


def _size(metric: Metric) -> Iterator[tuple[str, str]]:
    size, wanted = metric.size, metric.data_type.registers
    if metric.function_code < 3:
        if size != 1:
            yield "size", f"size {size} for function code {metric.function_code}, expected 1 bit"
        if metric.data_type not in _ONE_BIT:
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
    bits = _width(metric)
    for pattern in metric.invalid:
        if 0 < metric.size <= 4 and pattern >> bits:
            yield (
                "invalid",
                f"pattern {pattern:#x} does not fit {bits} bits: "
                "a long pattern is exact only as text such as 0xFFFFFFFFFFFFFFFF",
            )


def _rollover(metric: Metric) -> Iterator[tuple[str, str]]:
    if metric.rollover is not None and metric.kind == "gauge":
        yield (
            "rollover",
            "rollover of a gauge, expected a counter: empty the cell, or mend the kind",
        )


def _width(metric: Metric) -> int:
    """Bits of the raw number."""
    return 16 * metric.size if metric.function_code >= 3 else 1


def _bits(metric: Metric) -> Iterator[tuple[str, str]]:
    if metric.bits is None:
        return
    first, last = metric.bits
    width = 8 if metric.data_type is DataType.UINT8 else _width(metric)
    if metric.data_type not in _UNSIGNED:
        names = ", ".join(kind.value for kind in DataType if kind in _UNSIGNED)
        yield "bits", f"bits of {metric.data_type}, expected one of {names}"
    elif metric.function_code < 3:
        yield (
            "bits",
            f"bits for function code {metric.function_code}, which reads one bit: empty the cell",
        )
    elif not first <= last < width:
        yield (
            "bits",
            f"bits {first} to {last}, expected the lower one first, from 0 to {width - 1}",
        )
    if metric.code != "plain":
        yield "bits", f"bits together with the code {metric.code}: empty one of the cells"


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
    if metric.code == "mod10k_low" and metric.word_order == "little":
        yield "word_order", "little for mod10k_low, which says it already: empty the cell"


def _scale_register(metric: Metric) -> Iterator[tuple[str, str]]:
    terms = metric.scale_terms
    if metric.code == "f64" and (len(terms) != 1 or terms[0].form != "power"):
        yield (
            "scale_register",
            f"{metric.scale_register!r} for the code f64, expected the name of the metric that "
            "holds its format byte",
        )
    if not terms:
        return
    if metric.code == "pf4q":
        yield "scale_register", "a scale register for the code pf4q, expected a fixed scale"
    if metric.function_code < 3:
        yield "scale_register", "a scale register for a single bit: empty the cell"
    for term in terms:
        if not term.metric:
            yield "scale_register", f"{metric.scale_register!r}, expected the name of a metric"
        if term.metric == metric.name:
            yield "scale_register", f"{term.metric!r} is this metric, expected another one"


def _text(metric: Metric) -> Iterator[tuple[str, str]]:
    is_text = metric.data_type is DataType.STRING
    if (metric.kind == "text") != is_text:
        yield "kind", f"kind {metric.kind} for {metric.data_type}, expected {_kinds(is_text)}"
    if not is_text:
        return
    unused = {
        "scale": metric.scale != 1,
        "offset": metric.offset != 0,
        "invalid": metric.invalid not in ((), metric.data_type.no_value),
        "minimum": metric.minimum is not None,
        "maximum": metric.maximum is not None,
        "rollover": metric.rollover is not None,
        "code": metric.code != "plain",
        "scale_register": metric.scale_register != "",
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
    _rollover,
    _bits,
    _coding,
    _scale_register,
    _text,
)


def register_faults(metrics: Sequence[Metric]) -> Iterator[tuple[Metric, str]]:
    """(metric, problem) of each scale register that is no number of the same map."""
    known = {metric.name: metric for metric in metrics}
    for metric in metrics:
        for term in metric.scale_terms:
            register = known.get(term.metric)
            if term.metric in ("", metric.name):
                continue  # a fault of the row alone
            if register is None:
                yield metric, f"no metric {term.metric!r} in the map{nearest(term.metric, known)}"
            elif (problem := number_fault(register)) is not None:
                yield metric, f"{term.metric!r} {problem}"


def number_fault(register: Metric) -> str | None:
    """Why other values cannot depend on this metric."""
    if register.data_type is DataType.STRING:
        return "is a text, expected a number"
    if register.scale_register:
        return "has a scale register itself, expected a metric without one"
    return "has a ratio itself, expected a metric without one" if register.ratio else None


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
        touch = same_table and second.address < first.address + first.size
        if touch and not _apart(first, second):
            yield first, second


def _apart(first: Metric, second: Metric) -> bool:
    """Bit fields of one number that have no bit in common."""
    if first.bits is None or second.bits is None or first.address != second.address:
        return False
    alike = (first.size, first.word_order, first.byte_order, first.data_type) == (
        *(second.size, second.word_order, second.byte_order, second.data_type),
    )
    return alike and (first.bits[1] < second.bits[0] or second.bits[1] < first.bits[0])


def overlap(first: Metric, second: Metric) -> str:
    """What is odd about two metrics that share registers, and the mend."""
    if (first.address, first.size) != (second.address, second.size):
        return "which hold a part of each: correct an address or a size"
    if first.data_type is second.data_type and first.bits == second.bits:
        return "which hold one value: correct an address, or delete a row"
    return f"as {second.data_type} and {first.data_type}: correct an address, or delete a row"


def looks_one_based(address: int) -> bool:
    """Like a holding register's number as manuals print it, 40001 being the first."""
    return 40_001 <= address <= 49_999
