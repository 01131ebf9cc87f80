"""Registers of one batch ↔ values: types, word and byte order, scale and special codes.

Everything that does not change is computed when the batch is compiled: one `struct.Struct` for all
values of one order, with pad bytes over the holes; orders other than the usual one first turn the
data of the whole batch round. One compiled expression then scales all values, and only those with a
special code or limits are touched one by one. What depends on other registers is left as a raw
number: see `companions`. Pure.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from struct import Struct
from typing import Final, Literal, NamedTuple, TypeAlias, cast

from emdc.meters.codes import Raw, codec_of, layout, text
from emdc.meters.orders import ARRANGE, Data, Order, order_of
from emdc.meters.plan import Batch
from emdc.meters.register_map import DataType, Metric
from emdc.reading import GapReason, Value

Decode: TypeAlias = Callable[[Data], tuple[list[Value], dict[str, GapReason]]]
_Convert: TypeAlias = Callable[[Raw], tuple[Value, GapReason | None]]
_Scaled: TypeAlias = Callable[..., tuple[list[Value], float]]

RatioSetting: TypeAlias = float | Literal["meter"]
"""A number, or the word for one that the meter itself is asked for."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """Current and potential transformer ratios of one installation, primary over secondary."""

    ct: RatioSetting = 1
    pt: RatioSetting = 1

    def of(self, metric: Metric) -> list[tuple[Literal["ct", "pt"], RatioSetting]]:
        """The ratios that a value of `metric` is multiplied with, by name."""
        both: tuple[tuple[Literal["ct", "pt"], RatioSetting], ...]
        both = (("ct", self.ct), ("pt", self.pt))
        return [(name, ratio) for name, ratio in both if name in metric.ratio]

    def factor(self, metric: Metric) -> float | int | None:
        """What a value of `metric` is multiplied with; an int when it is whole.

        None when only the meter knows it.
        """
        factor = 1.0
        for _, ratio in self.of(metric):
            if ratio == "meter":
                return None
            factor *= ratio
        return int(factor) if factor == int(factor) else factor

    def leave(self, metric: Metric) -> bool:
        """Whether the scale of `metric` is not known before the meter has answered."""
        return bool(metric.scale_register) or self.factor(metric) is None


_HUGE: Final = 1e200
"""With a larger scale a whole number may become infinite."""

NO_RATIOS: Final = Ratios()


class _Layer(NamedTuple):
    """Values of one batch that do not overlap and share their orders."""

    arrange: Callable[[Data], bytes] | None
    """Turns the data of the whole batch round; None: they are right as they came."""
    unpack: Callable[[Data], tuple[Raw, ...]]


class BatchDecoder:
    """Values of one batch from its answer's data bytes.

    `names` are the metrics in the order of `decode`'s values.
    """

    def __init__(self, batch: Batch, ratios: Ratios) -> None:
        layers = _layers(batch.metrics)
        metrics = [metric for _, members in layers for metric in members]
        self.names = tuple(metric.name for metric in metrics)
        self._layers = [
            _Layer(ARRANGE[order], _struct(batch, members, order).unpack)
            for order, members in layers
        ]
        arrange, unpack = self._layers[0]
        self._raw = unpack if arrange is None and len(layers) == 1 else self._of_layers
        self._patterns: list[tuple[int, frozenset[Raw], float | int]] = []
        self._conversions: list[tuple[int, _Convert]] = []
        self._floats: list[int] = []
        scales: dict[int, float | int] = {}
        for index, metric in enumerate(metrics):
            factor = 1 if ratios.leave(metric) else metric.scale * (ratios.factor(metric) or 1)
            if _needs_conversion(metric, ratios):
                self._conversions.append((index, _conversion(metric, ratios)))
                continue
            if metric.data_type.is_float:
                self._floats.append(index)
            if metric.invalid:
                self._patterns.append((index, _patterns(metric), factor))
            elif factor != 1:
                scales[index] = factor
        self._plain = not self._patterns and not self._conversions
        self._scaled = _expression(len(metrics), scales, self._floats)

    def decode(self, data: Data) -> tuple[list[Value], dict[str, GapReason]]:
        """Values in the order of `names`, in the metrics' units; and a reason for each None.

        `data` are the data bytes of the answer, two for each register of the batch. A value whose
        scale other registers hold is the raw number.
        """
        values, total = self._scaled(*self._raw(data))
        if self._plain and isfinite(total):
            return values, {}
        gaps: dict[str, GapReason] = {}
        for index, patterns, factor in self._patterns:
            if values[index] in patterns:
                values[index] = None
                gaps[self.names[index]] = "not_available"
            elif factor != 1:
                values[index] *= factor  # type: ignore[operator]
        for index, convert in self._conversions:
            values[index], reason = convert(values[index])  # type: ignore[arg-type]
            if reason is not None:
                gaps[self.names[index]] = reason
        # One NaN or infinity spoils the sum, so that the single values are rarely looked at.
        if not isfinite(total):
            self._drop_not_finite(values, gaps)
        return values, gaps

    def _of_layers(self, data: Data) -> tuple[Raw, ...]:
        raw: tuple[Raw, ...] = ()
        for arrange, unpack in self._layers:
            raw += unpack(arrange(data) if arrange else data)
        return raw

    def _drop_not_finite(self, values: list[Value], gaps: dict[str, GapReason]) -> None:
        for index in self._floats:
            if not isfinite(values[index]):  # type: ignore[arg-type]
                gaps[self.names[index]] = "not_available"
                values[index] = None


class BitDecoder:
    """Values 0 and 1 of one batch of coils or discrete inputs; same shape as BatchDecoder."""

    def __init__(self, batch: Batch) -> None:
        self.names = tuple(metric.name for metric in batch.metrics)
        self._places = [divmod(metric.address - batch.address, 8) for metric in batch.metrics]

    def decode(self, data: Data) -> tuple[list[Value], dict[str, GapReason]]:
        """Values in the order of `names`; the first bit is the lowest of the first byte."""
        return [data[byte] >> bit & 1 for byte, bit in self._places], {}


def compile_batch(batch: Batch, ratios: Ratios) -> BatchDecoder | BitDecoder:
    """The decoder of one batch."""
    return BitDecoder(batch) if batch.function_code in (1, 2) else BatchDecoder(batch, ratios)


def joined(batches: Sequence[Batch], ratios: Ratios) -> BatchDecoder | None:
    """The decoder of the answers to these batches, one behind the other; None where it has none.

    Its names may be in another order than those of the single batches.
    """
    if not batches or any(batch.function_code in (1, 2) for batch in batches):
        return None
    metrics: list[Metric] = []
    end = 0
    for batch in batches:
        shift = end - batch.address
        metrics += [replace(metric, address=metric.address + shift) for metric in batch.metrics]
        end += batch.count
    return BatchDecoder(Batch(3, 0, end, tuple(metrics)), ratios)


def _expression(count: int, scales: Mapping[int, float | int], floats: Sequence[int]) -> _Scaled:
    """From `count` raw values to all of them scaled, and the sum of those at the places `floats`.

    The text that is compiled is made of places alone: nothing of a map stands in it, the scales
    are names.
    """
    raw = [f"v{place}" for place in range(count)]
    scaled = [f"k{place} * {v}" if place in scales else v for place, v in enumerate(raw)]
    total = _sum([scaled[place] for place in floats])
    text = f"lambda {', '.join(raw)}: ([{', '.join(scaled)}], {total})"
    names = {f"k{place}": scale for place, scale in scales.items()}
    return cast(_Scaled, eval(text, names))  # noqa: S307 - numbers of places only


def _sum(terms: Sequence[str]) -> str:
    """The text of their sum, in pairs of pairs: Python reads no text that is nested too deep."""
    middle = len(terms) // 2
    if not middle:
        return terms[0] if terms else "0"
    return f"({_sum(terms[:middle])} + {_sum(terms[middle:])})"


def _layers(metrics: Sequence[Metric]) -> list[tuple[Order, list[Metric]]]:
    """(order, metrics that do not overlap) until every metric is in one."""
    layers: list[tuple[Order, list[Metric]]] = []
    for metric in metrics:
        order = order_of(metric)
        for layer_order, members in layers:
            last = members[-1]
            if layer_order == order and metric.address >= last.address + last.size:
                members.append(metric)
                break
        else:
            layers.append((order, [metric]))
    return [
        (order, members[::-1] if order.low_word_first else members) for order, members in layers
    ]


def _struct(batch: Batch, members: Sequence[Metric], order: Order) -> Struct:
    form, position = ">", 0
    for metric in members:
        start = metric.address - batch.address
        if order.low_word_first:
            start = batch.count - start - metric.size
        form += f"{2 * (start - position)}x" + layout(metric)
        position = start + metric.size
    return Struct(form + f"{2 * (batch.count - position)}x")


def _needs_conversion(metric: Metric, ratios: Ratios) -> bool:
    return (
        metric.code != "plain"
        or metric.data_type is DataType.STRING
        or metric.bits is not None
        or bool(metric.offset)
        or (metric.data_type.is_float and bool(metric.invalid))
        or metric.minimum is not None
        or metric.maximum is not None
        or abs(metric.scale) > _HUGE
        or (metric.data_type.is_float and ratios.leave(metric))
    )


def _conversion(metric: Metric, ratios: Ratios) -> _Convert:
    invalid = _patterns(metric)
    if metric.data_type is DataType.STRING:
        return lambda raw: (None, "not_available") if raw in invalid else (text(raw), None)
    codec = codec_of(metric)
    scaled = unscaled if ratios.leave(metric) else scaling(metric, ratios.factor(metric) or 1)

    def convert(raw: Raw) -> tuple[Value, GapReason | None]:
        if raw in invalid:
            return None, "not_available"
        number = raw if codec is None else codec(raw)
        if number is None:
            return None, "decode_error"
        assert isinstance(number, int | float)
        if not isfinite(number):
            return None, "not_available"
        return scaled(number)

    return convert


def unscaled(number: float | int) -> tuple[Value, GapReason | None]:
    """The raw number as it is."""
    return number, None


def scaling(
    metric: Metric, ratio: float | int
) -> Callable[[float | int], tuple[Value, GapReason | None]]:
    """From a raw number to the value, or why it is none: scale, ratio, offset and limits."""
    factor, offset = metric.scale * ratio, metric.offset
    low, high = limits(metric, ratio)

    def scaled(number: float | int) -> tuple[Value, GapReason | None]:
        value = number * factor + offset
        return (value, None) if low <= value <= high else (None, "out_of_range")

    return scaled


def limits(metric: Metric, ratio: float | int) -> tuple[float, float]:
    """Smallest and largest value that is one; they are finite."""
    low = -sys.float_info.max if metric.minimum is None else metric.minimum * ratio
    high = sys.float_info.max if metric.maximum is None else metric.maximum * ratio
    return low, high


def _patterns(metric: Metric) -> frozenset[Raw]:
    """The map's patterns for "no value", as `struct` gives them for this metric."""
    unpack = Struct(">" + layout(metric)).unpack
    return frozenset(unpack(raw.to_bytes(2 * metric.size, "big"))[0] for raw in metric.invalid)
