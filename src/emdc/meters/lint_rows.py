"""What is suspicious in one row of a map, by itself: unit, kind, ratio, scale and Invalid patterns.

The rules of `lint` on single metrics. Each gets the metric and what its name says that it measures.
Pure.
"""

from collections.abc import Callable, Iterator
from struct import unpack
from typing import Final, NamedTuple, TypeAlias

from emdc.meters.families import Family, Measured, base_unit
from emdc.meters.register_map import DataType, Metric

TITLES: Final = {
    "data_type": "Data Type",
    "scale": "Scaling Factor",
    "unit": "Unit",
    "function_code": "Function Code",
    "ratio": "Ratio",
    "kind": "Kind",
    "interval_s": "Interval",
}
"""Field of Metric → how its column is called."""

_NO_COUNTER: Final = frozenset({"net", "demand"})
"""Words of a name of energy that goes up and down."""
_SHARES: Final = frozenset({"pf", "THD"})
"""Families that are also given in per cent."""
_TYPICAL: Final = {
    "Voltage": 100,
    "freq": 60,
    "pf": 1,
    "Current": 1,
    "W": 100,
    "VAR": 100,
    "VA": 100,
}
"""What the registers of a family must be able to hold, in its base unit."""
_STEPS: Final = {"freq": 0.1, "pf": 0.01, "Voltage": 0.5}
"""The coarsest step that still says something, in the family's base unit."""
_PHASES: Final = ("AN", "BN", "CN", "A", "B", "C")
_FLOAT_SCALES: Final = (1e-4, 1e6)
_SENTINELS: Final = (0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Hint(NamedTuple):
    """A suspicion about one field of one metric, and the mend."""

    metric: str
    field: str
    problem: str


def unit(metric: Metric, what: Measured) -> Iterator[Hint]:
    """A unit that does not fit the name."""
    family = what.family if what.by_name else None
    base, _ = base_unit(metric.unit)
    if family is None or base in ("", family.unit):
        return
    is_share = base == "%" and (not what.is_plain or family.name in _SHARES)
    is_angle = family.name == "Angle" and base.casefold() in ("rad", "radian", "radians")
    if not is_share and not is_angle:
        wanted = f"expected {family.unit}" if family.unit else "expected none"
        yield Hint(
            metric.name,
            "unit",
            f"{metric.name} in {metric.unit}, {wanted}: mend the unit or the name",
        )


def kind(metric: Metric, what: Measured) -> Iterator[Hint]:
    """Energy that is no counter, or something else that is one."""
    if what.family is None or metric.kind == "text":
        return
    grows = what.family.kind == "counter" and not _NO_COUNTER & set(metric.name.split("_"))
    if grows and metric.kind == "gauge":
        yield Hint(
            metric.name,
            "kind",
            f"{metric.name} is energy, which only grows, and Kind is gauge: write counter",
        )
    elif not grows and metric.kind == "counter":
        yield Hint(
            metric.name,
            "kind",
            f"{metric.name} goes up and down, and Kind is counter: write gauge",
        )


def ratio(metric: Metric, what: Measured) -> Iterator[Hint]:
    """A transformer ratio that does not belong to what is measured."""
    if what.family is None or not what.by_name or not metric.ratio:
        return
    wanted = what.family.ratio
    if metric.ratio != wanted:
        mend = f"write {wanted}" if wanted else "empty the cell"
        yield Hint(metric.name, "ratio", f"{metric.name} with the ratio {metric.ratio}: {mend}")


def float_scale(metric: Metric, _what: Measured) -> Iterator[Hint]:
    """A float that is scaled as an integer would be."""
    low, high = _FLOAT_SCALES
    if metric.data_type.is_float and not low <= abs(metric.scale) <= high:
        yield Hint(
            metric.name,
            "scale",
            f"scaling factor {metric.scale:g} for {metric.data_type}, which holds the value "
            "itself: write 1, or is the type INT32?",
        )


def scale(metric: Metric, what: Measured) -> Iterator[Hint]:
    """A scale with which a whole number is too coarse, or cannot reach an ordinary value."""
    family = what.family
    if family is None or not what.is_plain or not _is_plain_integer(metric):
        return
    step = abs(metric.scale) * _factor(metric, family)
    coarse = _STEPS.get(family.name)
    is_line = family.name == "Voltage" and what.place not in _PHASES
    if coarse is not None and step > coarse and not is_line:
        yield Hint(
            metric.name,
            "scale",
            f"{metric.name} as {metric.data_type} with scaling factor {metric.scale:g} has steps "
            f"of {step:g} {family.unit}".rstrip()
            + f", expected at most {coarse:g}: look the factor up",
        )
    typical = _TYPICAL.get(family.name)
    largest = _largest(metric) * step
    if typical is not None and largest < typical and not metric.offset:
        yield Hint(
            metric.name,
            "scale",
            f"{metric.name} as {metric.data_type} with scaling factor {metric.scale:g} reaches "
            f"{largest:.3g} {family.unit}".rstrip()
            + f", expected at least {typical}: look the factor up",
        )


def invalid(metric: Metric, _what: Measured) -> Iterator[Hint]:
    """A pattern for "no value" of another width than the value, or one that is a value."""
    for pattern in metric.invalid:
        if pattern == 0 and metric.data_type is not DataType.STRING:
            text = "0 in Invalid hides every true 0: is it meant?"
            yield Hint(metric.name, "invalid", text)
        elif metric.size > 1 and pattern in _SENTINELS and pattern < 1 << 8 * metric.size:
            bits = 16 if pattern <= 0xFFFF else 32
            yield Hint(metric.name, "invalid", _width_problem(metric, pattern, bits))
        elif metric.data_type is DataType.FLOAT32 and _is_finite(pattern):
            yield Hint(
                metric.name,
                "invalid",
                f"{pattern:#x} is the number {_as_float(pattern):g} as FLOAT32, and NaN needs no "
                "entry: empty the cell unless the manual says so",
            )


def _width_problem(metric: Metric, pattern: int, bits: int) -> str:
    wide = " or ".join(f"{one:#X}".replace("0X", "0x") for one in metric.data_type.no_value)
    mend = f"expected a pattern such as {wide}" if wide else "NaN needs no entry: empty the cell"
    return f"{pattern:#x} has {bits} bits, the value has {16 * metric.size}: {mend}"


def _is_finite(pattern: int) -> bool:
    return pattern <= 0xFFFFFFFF and pattern >> 23 & 0xFF != 0xFF


def _as_float(pattern: int) -> float:
    value: float = unpack(">f", pattern.to_bytes(4, "big"))[0]
    return value


def _is_plain_integer(metric: Metric) -> bool:
    """A whole number whose scale is all in the map."""
    return (
        metric.function_code >= 3
        and not metric.data_type.is_float
        and metric.data_type is not DataType.STRING
        and metric.code == "plain"
        and not metric.scale_register
        and metric.bits is None
    )


def _factor(metric: Metric, family: Family) -> float:
    """Base units in one of the metric's units; per cent of a power factor are hundredths."""
    if family.name == "pf":
        return 0.01 if metric.unit.strip() == "%" else 1.0
    return base_unit(metric.unit)[1]


def _largest(metric: Metric) -> int:
    bits = 8 if metric.data_type in (DataType.UINT8, DataType.INT8) else 16 * metric.size
    return (1 << bits if metric.data_type.startswith("U") else 1 << (bits - 1)) - 1


RowRule: TypeAlias = Callable[[Metric, Measured], Iterator[Hint]]

RULES: Final[tuple[RowRule, ...]] = (
    unit,
    kind,
    ratio,
    float_scale,
    scale,
    invalid,
)
