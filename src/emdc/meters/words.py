"""Registers of one batch ↔ values: types, word order, scale and special codes.

Everything that does not change is computed when the batch is compiled: one `struct.Struct` for all
values with the high word first, with pad bytes over the holes, and one for those with the low word
first, which reads the registers of the whole batch in reverse. A value is then touched only if it
has a scale, a special code or limits. Pure.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from emdc.meters.plan import Batch
from emdc.meters.register_map import Code, DataType, Metric
from emdc.reading import GapReason, Value

Raw: TypeAlias = int | float | bytes
_Convert: TypeAlias = Callable[[Raw], tuple[Value, GapReason | None]]

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


def _text(raw: Raw) -> str:
    """ASCII up to the first NUL, without blanks around it."""
    assert isinstance(raw, bytes)
    return raw.split(b"\0", 1)[0].decode("ascii", "replace").strip()


CODECS: Final[Mapping[Code, Callable[[Raw], float | int | None]]] = {
    "f8_pf": _f8_power_factor,
    "bcd": _packed_decimal,
    "mod10k": _modulo_10000,
}
"""Special codes: from the raw value to the number that is then scaled; None when it is none."""

_RAW_BYTES: Final = frozenset({"bcd", "mod10k"})


@dataclass(frozen=True, slots=True)
class Ratios:
    """Current and potential transformer ratios of one installation, primary over secondary."""

    ct: float = 1
    pt: float = 1

    def factor(self, metric: Metric) -> float | int:
        """What a value of `metric` is multiplied with; an int when it is whole."""
        factor = (self.ct if "ct" in metric.ratio else 1) * (self.pt if "pt" in metric.ratio else 1)
        return int(factor) if factor == int(factor) else factor


NO_RATIOS: Final = Ratios()


class _Layer(NamedTuple):
    """Values of one batch that do not overlap and share a word order."""

    little: bool
    unpack: Callable[[bytes | bytearray], tuple[Raw, ...]]


class BatchDecoder:
    """Values of one batch from its answer's data bytes.

    `names` are the metrics in the order of `decode`'s values.
    """

    def __init__(self, batch: Batch, ratios: Ratios) -> None:
        layers = _layers(batch.metrics)
        metrics = [metric for _, members in layers for metric in members]
        self.names = tuple(metric.name for metric in metrics)
        self._layers = [
            _Layer(little, _struct(batch, members, little=little).unpack)
            for little, members in layers
        ]
        self._scales: list[tuple[int, float | int]] = []
        self._conversions: list[tuple[int, _Convert]] = []
        for index, metric in enumerate(metrics):
            if _needs_conversion(metric):
                self._conversions.append((index, _conversion(metric, ratios)))
            elif (factor := metric.scale * ratios.factor(metric)) != 1:
                self._scales.append((index, factor))
        self._floats = _runs(
            metric.data_type.is_float and not _needs_conversion(metric) for metric in metrics
        )

    def decode(self, data: bytes | bytearray) -> tuple[list[Value], dict[str, GapReason]]:
        """Values in the order of `names`, in the metrics' units; and a reason for each None.

        `data` are the data bytes of the answer, two for each register of the batch.
        """
        values: list[Value] = []
        for little, unpack in self._layers:
            values += unpack(reversed_words(data) if little else data)  # type: ignore[arg-type]
        for index, factor in self._scales:
            values[index] *= factor  # type: ignore[operator]
        gaps: dict[str, GapReason] = {}
        for index, convert in self._conversions:
            values[index], reason = convert(values[index])  # type: ignore[arg-type]
            if reason is not None:
                gaps[self.names[index]] = reason
        for floats in self._floats:
            # One NaN or infinity spoils the sum, so that the single values are rarely looked at.
            if not math.isfinite(sum(values[floats])):  # type: ignore[arg-type]
                self._drop_not_finite(values, gaps, floats)
        return values, gaps

    def _drop_not_finite(
        self, values: list[Value], gaps: dict[str, GapReason], floats: slice
    ) -> None:
        for index in range(floats.start, floats.stop):
            if not math.isfinite(values[index]):  # type: ignore[arg-type]
                gaps[self.names[index]] = "not_available"
                values[index] = None


class BitDecoder:
    """Values 0 and 1 of one batch of coils or discrete inputs; same shape as BatchDecoder."""

    def __init__(self, batch: Batch) -> None:
        self.names = tuple(metric.name for metric in batch.metrics)
        self._places = [divmod(metric.address - batch.address, 8) for metric in batch.metrics]

    def decode(self, data: bytes | bytearray) -> tuple[list[Value], dict[str, GapReason]]:
        """Values in the order of `names`; the first bit is the lowest of the first byte."""
        return [data[byte] >> bit & 1 for byte, bit in self._places], {}


def compile_batch(batch: Batch, ratios: Ratios) -> BatchDecoder | BitDecoder:
    """The decoder of one batch."""
    return BitDecoder(batch) if batch.function_code in (1, 2) else BatchDecoder(batch, ratios)


def reversed_words(data: bytes | bytearray) -> bytes:
    """The registers in reverse order, the bytes of each as they were.

    A value with the low word first has its high word first in the result.
    """
    return memoryview(bytes(data)).cast("H")[::-1].tobytes()


def _runs(flags: Iterable[bool]) -> list[slice]:
    """Runs of True."""
    runs: list[slice] = []
    for index, flag in enumerate(flags):
        if flag and runs and runs[-1].stop == index:
            runs[-1] = slice(runs[-1].start, index + 1)
        elif flag:
            runs.append(slice(index, index + 1))
    return runs


def _layers(metrics: Sequence[Metric]) -> list[tuple[bool, list[Metric]]]:
    """(low word first, metrics that do not overlap) until every metric is in one."""
    layers: list[tuple[bool, list[Metric]]] = []
    for metric in metrics:
        little = _reads_reversed(metric)
        for layer_little, members in layers:
            last = members[-1]
            if layer_little is little and metric.address >= last.address + last.size:
                members.append(metric)
                break
        else:
            layers.append((little, [metric]))
    return [(little, members[::-1] if little else members) for little, members in layers]


def _reads_reversed(metric: Metric) -> bool:
    return metric.word_order == "little" and metric.size > 1 and metric.data_type != "STRING"


def _struct(batch: Batch, members: Sequence[Metric], *, little: bool) -> Struct:
    form, position = ">", 0
    for metric in members:
        start = metric.address - batch.address
        if little:
            start = batch.count - start - metric.size
        form += f"{2 * (start - position)}x" + _format(metric)
        position = start + metric.size
    return Struct(form + f"{2 * (batch.count - position)}x")


def _format(metric: Metric) -> str:
    if metric.data_type is DataType.STRING or metric.code in _RAW_BYTES:
        return f"{2 * metric.size}s"
    return _FORMATS[metric.data_type]


def _needs_conversion(metric: Metric) -> bool:
    return (
        metric.code != "plain"
        or metric.data_type is DataType.STRING
        or bool(metric.offset)
        or metric.invalid is not None
        or metric.minimum is not None
        or metric.maximum is not None
    )


def _conversion(metric: Metric, ratios: Ratios) -> _Convert:
    if metric.data_type is DataType.STRING:
        return lambda raw: (_text(raw), None)
    ratio = ratios.factor(metric)
    factor, offset = metric.scale * ratio, metric.offset
    codec = CODECS.get(metric.code)
    invalid = _invalid(metric)
    low = -math.inf if metric.minimum is None else metric.minimum * ratio
    high = math.inf if metric.maximum is None else metric.maximum * ratio

    def convert(raw: Raw) -> tuple[Value, GapReason | None]:
        if raw == invalid:
            return None, "not_available"
        number = raw if codec is None else codec(raw)
        if number is None:
            return None, "decode_error"
        assert isinstance(number, int | float)
        if not math.isfinite(number):
            return None, "not_available"
        value = number * factor + offset
        return (value, None) if low <= value <= high else (None, "out_of_range")

    return convert


def _invalid(metric: Metric) -> Raw | None:
    """The map's Invalid pattern as `struct` gives it for this metric."""
    if metric.invalid is None:
        return None
    raw = metric.invalid.to_bytes(2 * metric.size, "big")
    found: Raw = Struct(">" + _format(metric)).unpack(raw)[0]
    return found
