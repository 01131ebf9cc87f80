"""Factors that registers hold: from the numbers in them to an exact fraction.

Fractions of the decimal numbers that the map holds, so that a whole number stays one and
2301 x 10^-1 is 230.1. Used by `companions` and by the simulator. Pure.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from emdc.meters.register_map import Metric, RegisterMap, named_ratio
from emdc.meters.words import Ratios
from emdc.reading import Value

MOST_POWER: Final = 10
"""SunSpec Information Model Specification: scale factors go from -10 to 10."""
_MOST_RATIO: Final = Fraction(10**6)
"""Largest ratio, and one over the smallest, as for one that is given."""


class Factor(NamedTuple):
    """What a raw number is multiplied with, as a fraction, and the ratio in it."""

    numerator: int
    denominator: int
    ratio: float


class Source(NamedTuple):
    """From which registers the factor of a value comes, and how. Equal ones share a factor."""

    names: tuple[str, ...]
    """Metrics that hold a part of it: those of the scale, then those of ratios."""
    forms: tuple[str, ...]
    """What each of `names` is."""
    fixed: Fraction
    """The map's scale, times a ratio that is given."""
    given_ratio: Fraction

    def factor(self, found: tuple[Value, ...]) -> Factor | None:
        """The factor when the registers hold these numbers; None when they make no sense."""
        scale, ratio = self.fixed, Fraction(1)
        for form, value in zip(self.forms, found, strict=True):
            part = _PARTS[form](value)
            if part is None:
                return None
            if form.startswith("ratio"):
                ratio *= part
            else:
                scale *= part
        most = _MOST_RATIO ** self.forms.count("ratio")
        if not 1 / most <= ratio <= most:
            return None
        whole = scale * ratio
        return Factor(whole.numerator, whole.denominator, float(ratio * self.given_ratio))


def ratio_names(register_map: RegisterMap, ratio: Literal["ct", "pt"]) -> tuple[str, ...]:
    """The one or two metrics (numerator, denominator) that hold a ratio.

    Raises ValueError when the map does not name them.
    """
    said = register_map.ct_ratio if ratio == "ct" else register_map.pt_ratio
    names = named_ratio(said, {metric.name for metric in register_map.metrics})
    if not names:
        raise ValueError(
            f"{ratio}_ratio is to be read from the meter, and the map {register_map.name} does "
            f"not say where: give a number, or name its metrics in a row {ratio}_ratio of the "
            "sheet Meter"
        )
    return names


def scale_of(metric: Metric, registers: Mapping[str, Value]) -> Fraction | None:
    """The metric's scale when its scale registers hold these numbers; None when they make none."""
    scale = exact(metric.scale)
    for term, form in zip(metric.scale_terms, _forms(metric), strict=True):
        part = _PARTS[form](registers[term.metric])
        if part is None:
            return None
        scale *= part
    return scale


def source_of(metric: Metric, register_map: RegisterMap, ratios: Ratios) -> Source:
    """From where the factor of a metric comes. Raises ValueError when a ratio shall be read and the
    map does not say where.
    """
    names = [term.metric for term in metric.scale_terms]
    forms = _forms(metric)
    given = Fraction(1)
    for ratio, setting in ratios.of(metric):
        if setting == "meter":
            read = ratio_names(register_map, ratio)
            names += read
            forms += ["ratio", "ratio_divisor"][: len(read)]
        else:
            given *= exact(setting)
    return Source(tuple(names), tuple(forms), exact(metric.scale) * given, given)


def _forms(metric: Metric) -> list[str]:
    """What each of the metric's scale registers holds."""
    return [term.form if metric.code != "f64" else "format" for term in metric.scale_terms]


def exact(number: float | int) -> Fraction:
    """The decimal number that a float was written as."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def _power(value: Value) -> Fraction | None:
    number = _whole(value, -MOST_POWER, MOST_POWER)
    return None if number is None else Fraction(10) ** number


def _inverse_power(value: Value) -> Fraction | None:
    power = _power(value)
    return None if power is None else 1 / power


def _format_byte(value: Value) -> Fraction | None:
    """The step of a Nexus energy from its format byte F65: decimals in bits 0 to 2, and in bits 3
    and 4 whether it counts Wh (0), kWh (1) or MWh (2, 3). Source: the driver of another collector
    for the Nexus 1272; bits 5 to 7 are the number of digits, which changes nothing.
    """
    byte = _whole(value, 0, 255)
    if byte is None:
        return None
    return Fraction(10) ** (3 * min(byte >> 3 & 3, 2) - (byte & 7))


def _positive(value: Value) -> Fraction | None:
    if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        return None
    return exact(value)


def _divisor(value: Value) -> Fraction | None:
    number = _positive(value)
    return None if number is None else 1 / number


def _whole(value: Value, low: int, high: int) -> int | None:
    if not isinstance(value, int | float) or value != value // 1 or not low <= value <= high:
        return None
    return int(value)


_PARTS: Final[Mapping[str, Callable[[Value], Fraction | None]]] = {
    "power": _power,
    "inverse_power": _inverse_power,
    "divisor": _divisor,
    "format": _format_byte,
    "ratio": _positive,
    "ratio_divisor": _divisor,
}
