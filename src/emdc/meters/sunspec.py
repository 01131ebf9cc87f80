"""SunSpec: the models that a device says it has → a register map. Pure.

A device holds a chain of blocks, each with its model's id and length in front. `discovery` walks
it, `sunspec_models` knows the points of the models; here they become metrics with the names of the
shipped maps. The device's own lengths hold: points beyond them are left out.
Rule to keep: every value has its block's header as guard, read with it. Where another id or length
stands there, the device has another layout than the one that was discovered, and nothing of the
block is a value.
Sources: SunSpec Device Information Model Specification; the model files of pysunspec2.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeAlias

from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.modbus.pdu import ADDRESSES

NAME: Final = "sunspec"
"""What the setting `map` says for a device that describes itself."""
COMMON: Final = 1
MEASURED: Final = (101, 102, 103, 111, 112, 113, 201, 202, 203, 204, 211, 212, 213, 214)
"""Inverters and meters, with one to three phases; integers with scale factors, and floats."""
MODELS: Final = (COMMON, *MEASURED)
HEADER: Final = 2
"""Registers before the first that a model's length counts: its id and that length."""

_TEXT_INTERVAL_S: Final = 3600.0


class Block(NamedTuple):
    """One model of a device."""

    model: int
    address: int
    """Of the register that holds the id."""
    length: int
    """Registers behind the header, as the device says."""


class Layout(NamedTuple):
    """What a device says of itself; two that are equal have one map."""

    base: int
    """Address of the marker."""
    blocks: tuple[Block, ...]
    """All of them, in order, also those of models that are not read."""

    @property
    def is_sound(self) -> bool:
        """It lies within the addresses that there are."""
        ends = (block.address + HEADER + block.length for block in self.blocks)
        starts = all(block.address >= 0 and block.length >= 0 for block in self.blocks)
        return starts and max(ends, default=0) <= ADDRESSES


NOTHING: Final = Layout(0, ())
"""That of a device which was not asked yet."""


class Point(NamedTuple):
    """One point of a model."""

    name: str
    offset: int
    """From the block's address."""
    size: int
    """Registers."""
    type: str
    units: str
    scale_factor: str
    """Name of the point that holds the power of ten; empty: none."""
    label: str


Points: TypeAlias = Mapping[int, Sequence[Point]]
"""Points by model."""


def register_map(layout: Layout, points: Points) -> RegisterMap:
    """The map of a device with this layout; without metrics when none of its models is read.

    When two blocks give metrics of the same name, those of the second all end in `_2`.
    """
    metrics: dict[str, Metric] = {}
    for block in layout.blocks:
        found = list(_metrics(block, points.get(block.model, ())))
        suffix = next(s for s in _suffixes() if not any(m.name + s in metrics for m in found))
        metrics.update((one.name, one) for one in (_renamed(each, suffix) for each in found))
    return RegisterMap(
        NAME,
        tuple(metrics.values()),
        max_gap=_WITHIN_A_BLOCK,
        identity=_SERIAL if _SERIAL in metrics else "",
        notes=f"discovered at {layout.base}: models {models_of(layout)}" if layout.blocks else "",
        hash=hashlib.sha256(repr(layout).encode()).hexdigest(),
    )


def models_of(layout: Layout) -> str:
    """The models as people name them, such as `1, 103`."""
    return ", ".join(str(block.model) for block in layout.blocks)


class _Name(NamedTuple):
    """What a point is called here."""

    metric: str
    fields: Mapping[str, Any] = {}


_SERIAL: Final = f"model_{COMMON}.SN"
"""The serial number without its guard: it is asked for alone, to tell devices apart."""
_WITHIN_A_BLOCK: Final = 123
"""Between two values of a read there are only registers that the device has."""
_PF: Final = {"minimum": -1.01, "maximum": 1.01}
_PHASES: Final = (("", ""), ("A", "_A"), ("B", "_B"), ("C", "_C"))


def _names() -> Iterator[tuple[str, _Name]]:
    """(point, name here). What an inverter counts goes to the grid: it is received from there."""
    yield from (("Mn", _Name("Manufacturer")), ("Md", _Name("Model")))
    yield from (("Vr", _Name("FW_Version")), ("SN", _Name("Serial_Number")))
    yield from (
        ("A", _Name("Current_total")),
        ("Hz", _Name("freq", {"minimum": 0, "maximum": 100})),
    )
    yield from (("PhV", _Name("Voltage_LN_avg")), ("PPV", _Name("Voltage_LL_avg")))
    yield from (("VAr", _Name("VAR")), ("WH", _Name("Wh_received")))
    yield from ((f"DC{unit}", _Name(f"DC_{unit}")) for unit in "AVW")
    for phase in "ABC":
        yield f"Aph{phase}", _Name(f"Current_{phase}")
        yield f"PhVph{phase}", _Name(f"Voltage_{phase}N")
    for pair in ("AB", "BC", "CA"):  # the one or the other, by model
        yield f"PPVph{pair}", _Name(f"Voltage_{pair}")
        yield f"PhVph{pair}", _Name(f"Voltage_{pair}")
    for phase, suffix in _PHASES:
        for point in ("W", "VA", "VAR"):
            yield f"{point}{phase and 'ph'}{phase}", _Name(f"{point}{suffix}")
        yield f"PF{phase and 'ph'}{phase}", _Name(f"pf{suffix}", _PF)
        for unit in ("Wh", "VAh"):
            yield f"Tot{unit}Exp{phase and 'Ph'}{phase}", _Name(f"{unit}_received{suffix}")
            yield f"Tot{unit}Imp{phase and 'Ph'}{phase}", _Name(f"{unit}_delivered{suffix}")
        for way, quadrant in (("Imp", 1), ("Imp", 2), ("Exp", 3), ("Exp", 4)):
            for ph in ("Ph", "ph"):
                point = f"TotVArh{way}Q{quadrant}{phase and ph}{phase}"
                yield point, _Name(f"VARh_Q{quadrant}{suffix}")


_NAMES: Final = dict(_names())
_TYPES: Final = {
    "string": DataType.STRING,
    "int16": DataType.INT16,
    "uint16": DataType.UINT16,
    "sunssf": DataType.INT16,
    "acc32": DataType.UINT32,
    "float32": DataType.FLOAT32,
}
_UNITS: Final = {"var": "VAR", "varh": "VARh", "Pct": "", "PF": ""}
_SCALES: Final = {"Pct": 0.01}


def _metrics(block: Block, points: Sequence[Point]) -> Iterator[Metric]:
    """The metrics of one block, and what is read for them: its header and its scale factors."""
    there = [one for one in points if one.offset + one.size <= HEADER + block.length]
    factors = {one.name: one for one in there if one.type == "sunssf"}
    values = [
        one for one in there
        if one.name in _NAMES and (not one.scale_factor or one.scale_factor in factors)
    ]  # fmt: skip
    if not values:
        return
    guard = _header(block)
    yield guard
    for name in dict.fromkeys(one.scale_factor for one in values if one.scale_factor):
        yield _metric(block, factors[name], name=_own(block, name), hidden=True)
    for one in values:
        known = _NAMES[one.name]
        if one.name == "SN":
            yield _metric(block, one, name=_own(block, one.name), hidden=True)
        yield _metric(
            block,
            one,
            name=known.metric,
            guard=guard.name,
            scale_register=one.scale_factor and _own(block, one.scale_factor),
            **known.fields,
        )


def _header(block: Block) -> Metric:
    """Id and length, as one number that has just one right value."""
    header = float(block.model << 16 | block.length)
    return Metric(
        f"model_{block.model}",
        block.address,
        HEADER,
        DataType.UINT32,
        description=f"SunSpec model {block.model} with {block.length} registers",
        minimum=header,
        maximum=header,
        group=_group(block),
        hidden=True,
    )


def _metric(block: Block, point: Point, **fields: Any) -> Metric:
    data_type = _TYPES[point.type]
    unit = _UNITS.get(point.units, point.units)
    text = data_type is DataType.STRING
    return Metric(
        address=block.address + point.offset,
        size=point.size,
        data_type=data_type,
        scale=_SCALES.get(point.units, 1),
        unit=unit,
        description=f"SunSpec {point.name} of model {block.model}: {point.label}".rstrip(": "),
        # An accumulator that does not exist holds 0; one that has not counted yet looks the same.
        invalid=(0,) if point.type == "acc32" else data_type.no_value,
        kind="text" if text else "counter" if unit.endswith("h") else "gauge",
        interval_s=_TEXT_INTERVAL_S if text else None,
        group=_group(block),
        **fields,
    )


def _own(block: Block, point: str) -> str:
    """The name of a hidden metric: none that a topic has, or that is taken for a value's."""
    return f"model_{block.model}.{point}"


def _group(block: Block) -> str:
    return f"model {block.model} at {block.address}"


def _suffixes() -> Iterator[str]:
    yield ""
    number = 2
    while True:
        yield f"_{number}"
        number += 1


def _renamed(metric: Metric, suffix: str) -> Metric:
    """The metric, and those that it names, with a suffix."""
    if not suffix:
        return metric
    return replace(
        metric,
        name=metric.name + suffix,
        scale_register=metric.scale_register and metric.scale_register + suffix,
        guard=metric.guard and metric.guard + suffix,
    )
