"""What the scale and ratio registers of a simulated meter hold, and the scales that follow from it.

A real meter chooses its scale factors; a simulated one takes those that are usual for the unit.
Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from emdc.meters.factors import scale_of
from emdc.meters.register_map import Metric, RegisterMap, ScaleTerm, named_ratio
from emdc.reading import Value
from emdc.synthetic.encoder import raw_range

_POWERS: Final = {"V": -1, "A": -2, "Hz": -2, "": -2}
"""Usual power of ten by unit; 0 for powers and energies."""
_KILO: Final = 3
"""That of an energy whose decimals stand in a register of their own."""
_DIVISOR: Final = 10
_FORMAT_BYTE: Final = 0b000_01_010
"""Energy in kWh with two decimals, in the format F65."""


def registers(register_map: RegisterMap) -> dict[str, Value]:
    """What each metric holds that others take their scale or ratio from, by name."""
    metrics = {metric.name: metric for metric in register_map.metrics}
    held: dict[str, Value] = {
        name: 1
        for said in (register_map.ct_ratio, register_map.pt_ratio)
        for name in named_ratio(said, metrics)
    }
    for metric, term in _terms(register_map):
        low, high = raw_range(metrics[term.metric])
        held.setdefault(term.metric, max(low, min(high, _usual(metric, term))))
    return held


def settled(register_map: RegisterMap, held: Mapping[str, Value]) -> RegisterMap:
    """The map with each scale as it is while its scale registers hold these numbers.

    Where they hold none, the scale is that of the map alone.
    """
    return replace(register_map, metrics=tuple(_settled(m, held) for m in register_map.metrics))


def _settled(metric: Metric, held: Mapping[str, Value]) -> Metric:
    if not metric.scale_register:
        return metric
    scale = scale_of(metric, held)
    known = metric.scale
    if scale is not None:
        known = int(scale) if scale.denominator == 1 else float(scale)
    code = "plain" if metric.code == "f64" else metric.code
    return replace(metric, scale=known, code=code, scale_register="")


def _usual(metric: Metric, term: ScaleTerm) -> int:
    if metric.code == "f64":
        return _FORMAT_BYTE
    if term.form == "power":
        several = len(metric.scale_terms) > 1 and metric.unit.endswith("h")
        return _KILO if several else _POWERS.get(metric.unit, 0)
    return 1 if term.form == "inverse_power" else _DIVISOR


def _terms(register_map: RegisterMap) -> Iterator[tuple[Metric, ScaleTerm]]:
    for metric in register_map.metrics:
        for term in metric.scale_terms:
            yield metric, term
