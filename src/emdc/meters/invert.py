"""A register map with the signs of some metrics turned, for one installation.

Current transformers that are mounted the wrong way round, or a meter that calls export positive,
turn the sign of powers. It belongs to the installation, so a meter's setting says it and the map
stays as it is. Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from emdc.meters.cells import nearest
from emdc.meters.register_map import DataType, Metric, RegisterMap

POWER: Final = "power"
"""The word for every signed power and power factor of a map."""
_UNITS: Final = frozenset({"w", "kw", "mw", "var", "kvar", "mvar"})


@lru_cache(maxsize=1024)
def inverted(register_map: RegisterMap, names: tuple[str, ...]) -> RegisterMap:
    """The map with the values of these metrics times -1; `power` is every power and power factor.

    One object for all meters that are set alike. Raises ValueError for a metric that is not in the
    map or has no sign.
    """
    turned = frozenset(_turned(register_map, names))
    if not turned:
        return register_map
    metrics = tuple(
        _negative(metric) if metric.name in turned else metric for metric in register_map.metrics
    )
    return replace(register_map, metrics=metrics)


def _turned(register_map: RegisterMap, names: Sequence[str]) -> Iterator[str]:
    known = {metric.name: metric for metric in register_map.metrics}
    for name in names:
        if name in known:
            if (problem := _unsigned(known[name])) is not None:
                raise ValueError(f"invert: {name} {problem}")
            yield name
        elif name == POWER:
            yield from (metric.name for metric in register_map.metrics if _is_power(metric))
        else:
            hint = nearest(name, [POWER, *known])
            raise ValueError(f"invert: no metric {name!r} in the map {register_map.name}{hint}")


def _is_power(metric: Metric) -> bool:
    """Active or reactive power, or a power factor, that can be negative."""
    is_factor = "pf" in metric.name.casefold().split("_") and not metric.unit
    return (metric.unit.casefold() in _UNITS or is_factor) and _unsigned(metric) is None


def _unsigned(metric: Metric) -> str | None:
    """Why a metric has no sign that could be turned."""
    if metric.data_type is DataType.STRING:
        return "is a text"
    if metric.kind == "counter":
        return "is a counter, which only grows: import and export are metrics of their own"
    if metric.code == "f8_pf":
        return "is the magnitude of a power factor, without a sign"
    if metric.function_code < 3 or metric.bits is not None:
        return "is made of single bits"
    return None


def _negative(metric: Metric) -> Metric:
    low, high = metric.minimum, metric.maximum
    return replace(
        metric,
        scale=-metric.scale,
        offset=-metric.offset,
        minimum=None if high is None else -high,
        maximum=None if low is None else -low,
    )
