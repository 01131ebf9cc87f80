"""What one or two reads of a meter gave, by what it measures; and which metrics are worth a look.

For whoever judges whether a register map fits (`evidence`, `probe`). Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from emdc.meters.families import Measured, base_unit, measured
from emdc.meters.register_map import DataType, Metric
from emdc.reading import Value

MOST: Final = 48
"""Metrics of a map that are looked at."""

_TINY, _HUGE = 1e-9, 1e12

_Place: TypeAlias = tuple[str, str]
"""Family and place, such as ("W", "A"); ("W", "") is the whole circuit."""


class Look:
    """What one or two reads gave, in base units, by what it measures."""

    def __init__(
        self,
        metrics: Sequence[Metric],
        first: Mapping[str, Value],
        second: Mapping[str, Value],
    ) -> None:
        self.metrics = metrics
        self.first = _numbers(metrics, first)
        self.second = _numbers(metrics, second)
        self._names: dict[_Place, str] = {}
        for metric in metrics:
            what = _what(metric)
            known = what.family is not None and metric.name in self.first
            if known and (what.is_plain or not what.by_name) and what.family:
                self._names.setdefault((what.family.name, what.place), metric.name)

    def at(self, family: str, place: str = "") -> float | None:
        """The value of this family at this place, if it was read."""
        name = self._names.get((family, place))
        return None if name is None else self.first[name]

    def all_of(self, family: str, places: Iterable[str]) -> list[float] | None:
        """The values at all of these places; None when one is missing."""
        found = [self.at(family, place) for place in places]
        numbers = [number for number in found if number is not None]
        return numbers if len(numbers) == len(found) else None

    def pairs(self, family: str) -> Iterator[tuple[float, float]]:
        """Values of a family in the first and in the second read."""
        for (name, _), metric in self._names.items():
            if name == family and metric in self.second:
                yield self.first[metric], self.second[metric]


def chosen(metrics: Iterable[Metric]) -> list[Metric]:
    """The metrics whose values show whether a map fits, at most MOST, in the order of the map."""
    ranked = sorted(
        (metric for metric in metrics if _is_worth_reading(metric)),
        key=lambda metric: (not _what(metric).by_name, not _what(metric).is_plain),
    )
    return ranked[:MOST]


def telltales(metrics: Iterable[Metric]) -> list[Metric]:
    """The few metrics that show soonest whether the rest is worth reading, the best first."""
    worth = chosen(metrics)
    found = []
    for family in ("freq", "Voltage", "W"):
        of_family = (one for one in worth if _family(one) == family)
        found += [metric for metric in of_family if _what(metric).place in ("", "AN", "A")][:1]
    return found or worth[:2]


def believable(metric: Metric, value: Value) -> bool:
    """Whether a value alone may be one of this metric: a number within the family's limits."""
    look = Look([metric], {metric.name: value}, {})
    number, family = look.first.get(metric.name), _what(metric).family
    if number is None or number == 0 or not is_measured(number):
        return False
    return family is None or family.low <= number <= family.high


def is_measured(*numbers: float) -> bool:
    """Whether a meter may have measured these: zero, or neither tiny nor huge.

    A float whose words are swapped is often beyond these limits.
    """
    return all(not number or _TINY < abs(number) < _HUGE for number in numbers)


def _numbers(metrics: Sequence[Metric], values: Mapping[str, Value]) -> dict[str, float]:
    found = {}
    for metric in metrics:
        value = values.get(metric.name)
        if isinstance(value, int | float):
            found[metric.name] = value * base_unit(metric.unit)[1]
    return found


def _what(metric: Metric) -> Measured:
    return measured(metric.name, metric.unit)


def _family(metric: Metric) -> str:
    family = _what(metric).family
    return family.name if family else ""


def _is_worth_reading(metric: Metric) -> bool:
    what = _what(metric)
    if metric.function_code < 3 or metric.data_type is DataType.STRING or what.family is None:
        return False
    if what.family.name in ("THD", "Angle") or (what.by_name and not what.is_plain):
        return False
    return what.family.kind == "gauge" or not what.place
