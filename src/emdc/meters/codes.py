"""Special codes of registers: from the raw value as `struct` gives it to the number it stands for.

A code is one row of CODECS, or of `codec_of` when it depends on the metric. Used by `words`. Pure.
"""

import math
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, TypeAlias

from emdc.meters.register_map import Code, DataType, Metric

Raw: TypeAlias = int | float | bytes
Codec: TypeAlias = Callable[[Raw], float | int | None]
"""None: the raw value stands for no number."""

_FORMATS: Final[Mapping[DataType, str]] = {
    DataType.UINT8: "Bx",
    DataType.INT8: "bx",
    DataType.UINT16: "H",
    DataType.INT16: "h",
    DataType.UINT32: "I",
    DataType.INT32: "i",
    DataType.UINT64: "Q",
    DataType.INT64: "q",
    DataType.FLOAT32: "f",
    DataType.FLOAT64: "d",
}


def _f8_power_factor(raw: Raw) -> int | None:
    """Magnitude of a Nexus power factor in thousandths, from four bands of 1000.

    The magnitude rises in the first and third band and falls in the others; sign and quadrant are
    not known from it and belong to W and VAR. None beyond the bands.
    Source: register facts of the Nexus 1252/1262/1272, format F8.
    """
    assert isinstance(raw, int)
    band, rest = divmod(raw, 1000)
    if not 0 <= band <= 3:
        return None
    return 1000 - rest if band in (1, 3) else rest


def _packed_decimal(raw: Raw) -> int | None:
    """Decimal digits of four bits each, high digit first; None when one is no digit."""
    assert isinstance(raw, bytes)
    text = raw.hex()
    return int(text) if text.isdecimal() else None


def _modulo_10000(raw: Raw) -> int | None:
    """Registers that hold four decimal digits each, high register first."""
    assert isinstance(raw, bytes)
    value = 0
    for index in range(0, len(raw), 2):
        word = raw[index] << 8 | raw[index + 1]
        if word > 9999:
            return None
        value = value * 10000 + word
    return value


def text(raw: Raw) -> str:
    """ASCII up to the first NUL, without blanks around it."""
    assert isinstance(raw, bytes)
    return raw.split(b"\0", 1)[0].decode("ascii", "replace").strip()


def _four_quadrants(metric: Metric) -> Codec:
    """A power factor that goes on beyond 1: from 1 to 2 it falls again to 0, from -1 to -2 too.

    The sign is that of the active power. None beyond 2.
    Source: general knowledge of the Schneider PM5000 series, whose 4-quadrant format it is.
    """
    unity = 1 / abs(metric.scale)
    one = round(unity) if math.isclose(unity, round(unity)) else unity

    def fold(raw: Raw) -> float | int | None:
        assert isinstance(raw, int | float)
        size = abs(raw)
        if size <= one or not math.isfinite(size):
            return raw
        rest = 2 * one - size
        return None if rest < 0 else rest if raw > 0 else -rest

    return fold


def _bit_field(first: int, last: int) -> Codec:
    mask = (1 << last - first + 1) - 1

    def field(raw: Raw) -> int:
        assert isinstance(raw, int)
        return raw >> first & mask

    return field


CODECS: Final[Mapping[Code, Codec]] = {
    "f8_pf": _f8_power_factor,
    "bcd": _packed_decimal,
    "mod10k": _modulo_10000,
    "mod10k_low": _modulo_10000,
}
"""Special codes: from the raw value to the number that is then scaled; None when it is none."""

_RAW_BYTES: Final = frozenset({"bcd", "mod10k", "mod10k_low"})


def layout(metric: Metric) -> str:
    """The `struct` format of a metric whose high word and byte come first."""
    if metric.data_type is DataType.STRING or metric.code in _RAW_BYTES or _by_bytes(metric):
        return f"{2 * metric.size}s"
    return _FORMATS[metric.data_type]


def _by_bytes(metric: Metric) -> bool:
    """Whether its patterns must be compared as bytes: -0.0 equals 0.0, and no NaN itself."""
    return metric.data_type.is_float and bool(metric.invalid)


def codec_of(metric: Metric) -> Codec | None:
    """What makes a number of the raw value that `layout` gives; None: it is one already."""
    if metric.bits is not None:
        return _bit_field(*metric.bits)
    if metric.code == "pf4q":
        fold = _four_quadrants(metric)
        return _after_unpacking(metric, fold) if _by_bytes(metric) else fold
    if _by_bytes(metric):
        return _after_unpacking(metric, None)
    return CODECS.get(metric.code)


def _after_unpacking(metric: Metric, codec: Codec | None) -> Codec:
    unpack = Struct(">" + _FORMATS[metric.data_type]).unpack

    def number(raw: Raw) -> float | int | None:
        value: float = unpack(raw)[0]  # type: ignore[arg-type]
        return value if codec is None else codec(value)

    return number
