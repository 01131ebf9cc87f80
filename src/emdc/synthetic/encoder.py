"""From a metric's value to the bytes of its registers: the decoding rule, backwards.

raw = (value - offset) / scale, rounded and held in the type's range; a counter that outgrows its
registers starts again at zero, as a meter's does. Ratios are 1: a simulated meter has no
transformers. The scale is that of the map alone: whoever serves scale registers puts what they hold
into it. Pure.
"""

import math
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, TypeAlias

from emdc.meters.register_map import DataType, Metric
from emdc.reading import Value

Encode: TypeAlias = Callable[[Value], bytes]
"""Value → bytes of the whole metric, in the order of its registers."""

_FORMATS: Final[Mapping[DataType, Struct]] = {
    # an 8-bit value is in the high byte of its register
    DataType.UINT8: Struct(">Bx"),
    DataType.INT8: Struct(">bx"),
    DataType.UINT16: Struct(">H"),
    DataType.INT16: Struct(">h"),
    DataType.UINT32: Struct(">I"),
    DataType.INT32: Struct(">i"),
    DataType.UINT64: Struct(">Q"),
    DataType.INT64: Struct(">q"),
    DataType.FLOAT32: Struct(">f"),
    DataType.FLOAT64: Struct(">d"),
}
_DECIMAL: Final = frozenset({"bcd", "mod10k", "mod10k_low"})
_MAX_FLOAT32: Final = 3.4028234663852886e38


def encoder(metric: Metric) -> Encode:
    """The function that encodes this metric's values; None becomes its "no value" pattern."""
    if metric.data_type is DataType.STRING:
        return lambda value: _ordered(metric, _text(metric, value))
    if metric.data_type.is_float:
        return lambda value: _ordered(metric, _float(metric, value))
    low, high = raw_range(metric)
    form = _FORMATS[metric.data_type]
    turn = high + 1 if metric.kind == "counter" else 0
    first = metric.bits[0] if metric.bits else 0

    def encode(value: Value) -> bytes:
        if value is None:
            return _ordered(metric, _no_value(metric))
        raw = _raw(metric, value)
        if metric.code == "f8_pf":
            # The first of the four bands; 1.000 is where the second begins.
            raw = min(abs(raw), 1000)
        raw = raw % turn if turn and raw > high else max(low, min(high, raw))
        return _ordered(metric, _coded(metric, raw) or form.pack(raw << first))

    return encode


def raw_range(metric: Metric) -> tuple[int, int]:
    """Smallest and largest raw number of an integer metric."""
    if metric.code == "f8_pf":
        return 0, 1000
    if metric.bits is not None:
        return 0, (1 << metric.bits[1] - metric.bits[0] + 1) - 1
    if metric.code in _DECIMAL:
        return 0, 10 ** (4 * metric.size) - 1
    bits = 8 * _FORMATS[metric.data_type].size
    if metric.data_type in (DataType.UINT8, DataType.INT8):
        bits = 8
    if metric.data_type.startswith("U"):
        return 0, (1 << bits) - 1
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def value_range(metric: Metric) -> tuple[float, float]:
    """Smallest and largest value that the metric's registers and limits can show, in its unit."""
    if metric.data_type.is_float or metric.data_type is DataType.STRING:
        low, high = -math.inf, math.inf
    else:
        ends = [raw * metric.scale + metric.offset for raw in raw_range(metric)]
        low, high = float(min(ends)), float(max(ends))
    minimum, maximum = metric.minimum, metric.maximum
    return (
        low if minimum is None else max(low, minimum),
        high if maximum is None else min(high, maximum),
    )


def _raw(metric: Metric, value: float | int | str) -> int:
    number = _number(metric, value)
    scale, above = metric.scale, number - metric.offset
    if isinstance(above, int) and isinstance(scale, int):
        # Beyond 2^53 a quotient of floats would lose the last digits of a counter.
        return (2 * above + scale) // (2 * scale)
    return round(above / scale)


def _coded(metric: Metric, raw: int) -> bytes:
    """Bytes of a decimal code, highest digits first; nothing for a plain number."""
    if metric.code not in _DECIMAL:
        return b""
    digits = f"{raw:0{4 * metric.size}d}"
    if metric.code == "bcd":
        return bytes.fromhex(digits)
    groups = (digits[at : at + 4] for at in range(0, len(digits), 4))
    return b"".join(int(group).to_bytes(2, "big") for group in groups)


def _float(metric: Metric, value: Value) -> bytes:
    if value is None:
        return _no_value(metric) if metric.invalid else _pack(metric, math.nan)
    return _pack(metric, (_number(metric, value) - metric.offset) / metric.scale)


def _pack(metric: Metric, number: float) -> bytes:
    if metric.data_type is DataType.FLOAT32 and math.isfinite(number):
        number = max(-_MAX_FLOAT32, min(_MAX_FLOAT32, number))
    return _FORMATS[metric.data_type].pack(number)


def _number(metric: Metric, value: float | int | str) -> float | int:
    if isinstance(value, str):
        raise TypeError(f"{metric.name}: text {value!r} for {metric.data_type}, expected a number")
    return value


def _text(metric: Metric, value: Value) -> bytes:
    size = 2 * metric.size
    return str(value or "").encode("ascii", "replace")[:size].ljust(size, b"\0")


def _no_value(metric: Metric) -> bytes:
    """The first of the map's patterns, or zeros, with the high register and byte first."""
    return (metric.invalid or (0,))[0].to_bytes(2 * metric.size, "big")


def _ordered(metric: Metric, high_first: bytes) -> bytes:
    """The registers as they lie in the meter."""
    words = [high_first[at : at + 2] for at in range(0, len(high_first), 2)]
    little = metric.word_order == "little" or metric.code == "mod10k_low"
    if little and metric.data_type is not DataType.STRING:
        words.reverse()
    if metric.byte_order == "little":
        words = [word[::-1] for word in words]
    return b"".join(words)
