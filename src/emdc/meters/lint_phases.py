"""What is suspicious among the phases of one quantity: one that is missing, or unlike the others.

A rule of `lint`. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from emdc.meters.families import Measured, measured
from emdc.meters.lint_rows import TITLES, Hint
from emdc.meters.register_map import Metric


def siblings(metrics: Sequence[Metric]) -> Iterator[Hint]:
    """Phases of one quantity that are not alike, or one of three that is missing."""
    for phases in _phases(metrics):
        yield from _missing_phase(phases)
        for field in ("data_type", "scale", "unit", "function_code", "ratio", "kind", "interval_s"):
            yield from _odd_one(phases, field)
        yield from _uneven(phases)


class _Phase(NamedTuple):
    metric: Metric
    what: Measured


def _phases(metrics: Iterable[Metric]) -> Iterator[list[_Phase]]:
    """Metrics whose names differ by the phase alone, in the order of phases."""
    found: dict[tuple[str, int], list[_Phase]] = {}
    for metric in metrics:
        what = measured(metric.name, metric.unit)
        if what.by_name and any(what.place in places for places in _SETS):
            stem = "_".join(word for word in metric.name.split("_") if word != what.place)
            found.setdefault((stem, _set_of(what.place)), []).append(_Phase(metric, what))
    for phases in found.values():
        yield sorted(phases, key=lambda one: _SETS[_set_of(one.what.place)].index(one.what.place))


_SETS: Final = (("A", "B", "C"), ("AN", "BN", "CN"), ("AB", "BC", "CA"))


def _set_of(place: str) -> int:
    return next(index for index, places in enumerate(_SETS) if place in places)


def _missing_phase(phases: Sequence[_Phase]) -> Iterator[Hint]:
    places = {one.what.place for one in phases}
    wanted = _SETS[_set_of(phases[0].what.place)]
    if len(places) == 2:
        (missing,) = set(wanted) - places
        names = " and ".join(one.metric.name for one in phases)
        text = f"{names} without {missing}: is a row missing?"
        yield Hint(phases[-1].metric.name, "name", text)


def _odd_one(phases: Sequence[_Phase], field: str) -> Iterator[Hint]:
    said = Counter(getattr(one.metric, field) for one in phases)
    if len(said) < 2:
        return
    (usual, _), *_ = said.most_common()
    for one in phases:
        value = getattr(one.metric, field)
        if value != usual:
            others = ", ".join(
                other.metric.name for other in phases if getattr(other.metric, field) == usual
            )
            title = TITLES[field]
            yield Hint(
                one.metric.name,
                field,
                f"{title} of {one.metric.name} is {_shown(value)}, that of {others} "
                f"{_shown(usual)}: make them alike",
            )


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value or "empty")


def _uneven(phases: Sequence[_Phase]) -> Iterator[Hint]:
    """Three addresses of which two are at the usual distance and the third is not."""
    if len(phases) != 3:
        return
    first, second, third = (one.metric for one in phases)
    steps = (second.address - first.address, third.address - second.address)
    if first.size in steps and steps[0] != steps[1] and max(map(abs, steps)) < 3 * first.size:
        where = ", ".join(str(one.metric.address) for one in phases)
        names = ", ".join(one.metric.name for one in phases)
        yield Hint(
            third.name,
            "address",
            f"{names} at {where}: not evenly spaced, look each up in the manual",
        )
