"""What a value needs from other registers: powers of ten, divisors, and the meter's own ratios.

Those registers are read in the same tick as the value, in the same read when they fit, also when
nobody asked for them. A batch's decoder leaves such a value as a raw number; `Needs.finish` makes
the value of it, with the factor that `factors` computes. Pure.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from emdc.meters.factors import Factor, Source, source_of
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.words import Ratios
from emdc.reading import GapReason, Value

Finish: TypeAlias = Callable[[list[Value], dict[str, GapReason]], list[Value]]
"""Raw numbers and the gaps so far → the values that were asked for; completes the gaps."""

_SMALL: Final = 1e100
_FEW_TERMS: Final = 4
"""A FLOAT32 or an integer times such a scale, powers and ratios stays far below 1e308."""


class Needs:
    """The registers that some metrics of a map need beside their own."""

    def __init__(self, register_map: RegisterMap, wanted: frozenset[str], ratios: Ratios) -> None:
        self._wanted = wanted
        self._metrics = {metric.name: metric for metric in register_map.metrics}
        self._sources = {
            name: source_of(metric, register_map, ratios)
            for name, metric in self._metrics.items()
            if name in wanted and ratios.leave(metric)
        }
        self._guards = {
            name: metric.guard
            for name, metric in self._metrics.items()
            if name in wanted and metric.guard
        }
        needed = {name for source in self._sources.values() for name in source.names}
        needed.update(self._guards.values())
        self.names = frozenset(wanted | needed)
        """What is wanted, and what that needs."""

    def __bool__(self) -> bool:
        return bool(self._sources or self._guards)

    def finish(self, names: Sequence[str]) -> tuple[tuple[str, ...], Finish]:
        """The names that were asked for, in the order of `names`, and what makes their values of
        decoded ones in that order.
        """
        place = {name: index for index, name in enumerate(names)}
        found: dict[Source, list[_Member]] = {}
        for name in filter(place.__contains__, self._sources):
            members = found.setdefault(self._sources[name], [])
            members.append(_member(place[name], self._metrics[name]))
        groups = [_group(source, members, place) for source, members in found.items()]
        guarded = [
            (guard, [(place[name], name) for name in place if self._guards.get(name) == guard])
            for guard in dict.fromkeys(self._guards.values())
        ]
        kept = [index for index, name in enumerate(names) if name in self._wanted]
        dropped = [name for name in names if name not in self._wanted]

        def finish(values: list[Value], gaps: dict[str, GapReason]) -> list[Value]:
            for group in groups:
                # One that the plan leaves out, since the meter refuses it, is missing too.
                held = tuple(None if at is None else values[at] for at in group.places)
                factor = None if None in held else group.factor_of(held)
                if factor is None:
                    _drop(values, gaps, group.members, _reason(group.names, gaps))
                else:
                    _multiply(values, group.plain, factor)
                    _scale(values, gaps, group.checked, factor)
            for guard, members in guarded:
                if guard not in place or values[place[guard]] is None:
                    _refuse(values, gaps, members, gaps.get(guard, "decode_error"))
            if not dropped:
                return values
            for name in dropped:
                gaps.pop(name, None)
            return [values[index] for index in kept]

        return tuple(names[index] for index in kept), finish


class _Member(NamedTuple):
    """One value of a group with equal factors."""

    place: int
    name: str
    plain: bool
    """A product is all that it needs, and no factor makes it too large for a number."""
    offset: float | int
    minimum: float | None
    maximum: float | None


class _Group(NamedTuple):
    """Values with equal factors, by their places among those that are decoded."""

    names: tuple[str, ...]
    """Metrics that hold a part of the factor, and their places; None: one that is left out."""
    places: tuple[int | None, ...]
    factor_of: Callable[[tuple[Value, ...]], Factor | None]
    members: list[_Member]
    plain: list[int]
    checked: list[_Member]


def _group(source: Source, members: list[_Member], place: Mapping[str, int]) -> _Group:
    return _Group(
        source.names,
        tuple(map(place.get, source.names)),
        lru_cache(maxsize=256)(source.factor),
        members,
        [member.place for member in members if member.plain],
        [member for member in members if not member.plain],
    )


def _member(place: int, metric: Metric) -> _Member:
    low, high = metric.minimum, metric.maximum
    small = metric.data_type is not DataType.FLOAT64 and abs(metric.scale) < _SMALL
    plain = small and not metric.offset and low is None and high is None
    few = len(metric.scale_terms) <= _FEW_TERMS
    return _Member(place, metric.name, plain and few, metric.offset, low, high)


def _reason(needed: Sequence[str], gaps: Mapping[str, GapReason]) -> GapReason:
    """Why a value cannot be scaled: the reason of what is missing, else what it holds is wrong."""
    return next((gaps[name] for name in needed if name in gaps), "decode_error")


def _refuse(
    values: list[Value],
    gaps: dict[str, GapReason],
    members: Sequence[tuple[int, str]],
    reason: GapReason,
) -> None:
    """Let none of these be a value: their guard is not what it should be, or was not read."""
    reason = "not_discovered" if reason == "out_of_range" else reason
    for place, name in members:
        values[place] = None
        gaps[name] = reason


def _drop(
    values: list[Value],
    gaps: dict[str, GapReason],
    members: Sequence[_Member],
    reason: GapReason,
) -> None:
    for member in members:
        if values[member.place] is not None:
            values[member.place] = None
            gaps[member.name] = reason


def _multiply(values: list[Value], places: Sequence[int], factor: Factor) -> None:
    numerator, denominator, _ = factor
    for place in places:
        raw = values[place]
        if isinstance(raw, int | float):
            product = raw * numerator
            values[place] = product if denominator == 1 else product / denominator


def _scale(
    values: list[Value],
    gaps: dict[str, GapReason],
    members: Sequence[_Member],
    factor: Factor,
) -> None:
    numerator, denominator, ratio = factor
    for place, name, _, offset, minimum, maximum in members:
        raw = values[place]
        if raw is None:
            continue
        assert isinstance(raw, int | float)
        try:
            value = raw * numerator if denominator == 1 else raw * numerator / denominator
            value += offset
        except OverflowError:
            value = math.inf
        low = -sys.float_info.max if minimum is None else minimum * ratio
        high = sys.float_info.max if maximum is None else maximum * ratio
        if low <= value <= high:
            values[place] = value
        else:
            values[place] = None
            gaps[name] = "out_of_range"
