"""From metrics to few batch reads. Pure.

A batch is one request: a span of registers that starts and ends on a mapped one, crosses no hole
wider than the meter allows, and never splits a value. Metrics of one group, and a value with the
registers of its scale, stay in one batch, over any hole, as long as that is not too long for one
read. What a meter has refused is kept apart.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from emdc.meters.register_map import Metric, RegisterMap

MAX_BITS = 2000
"""Bits in one answer. Modbus Application Protocol V1.1b3, section 6.1."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Registers that follow one another, or bits for function codes 1 and 2."""

    function_code: int
    address: int
    count: int

    @property
    def end(self) -> int:
        """The address after the last."""
        return self.address + self.count

    def __str__(self) -> str:
        return f"{self.count} from {self.address} with function code {self.function_code}"

    def covers(self, other: "Span") -> bool:
        """Whether all of `other` lies in this span."""
        return (
            self.function_code == other.function_code
            and self.address <= other.address
            and other.end <= self.end
        )


class Avoid(NamedTuple):
    """What a meter has refused, as a plan must respect it."""

    max_registers: int | None = None
    """A read of several values may not be longer; one value that is longer is read alone."""
    apart: tuple[Span, ...] = ()
    """No read of several values may cover one of these."""
    secluded: tuple[Span, ...] = ()
    """Those of them of which it is not known yet what is wrong: no read may reach from inside to
    outside, so that what is wrong costs nothing outside."""


NOTHING: Final = Avoid()


@dataclass(frozen=True, slots=True)
class Batch:
    """One read: `count` registers (or bits) from `address`, and the metrics that lie in them."""

    function_code: int
    address: int
    count: int
    metrics: tuple[Metric, ...]
    """By address; several may share registers."""

    @property
    def span(self) -> Span:
        """What it reads."""
        return Span(self.function_code, self.address, self.count)

    @property
    def is_one_value(self) -> bool:
        """All of its metrics have the same registers, so that it cannot be split."""
        return all(metric.size == self.count for metric in self.metrics)


def plan(
    metrics: Iterable[Metric], avoid: Avoid = NOTHING, /, *, max_registers: int, max_gap: int
) -> tuple[Batch, ...]:
    """The fewest batches that read all metrics, by function code and address.

    Raises ValueError when one value is longer than `max_registers`.
    """
    wanted = sorted(metrics, key=lambda m: (m.function_code, m.address, m.size, m.name))
    for metric in wanted:
        if metric.size > _most(metric.function_code, max_registers):
            raise ValueError(
                f"{metric.name} fills {metric.size} registers, "
                f"max_registers is {max_registers}: raise it"
            )
    if avoid.max_registers is not None:
        max_registers = min(max_registers, avoid.max_registers)
    batches: list[Batch] = []
    run: list[_Atom] = []
    for atom in _atoms(wanted, max_registers, avoid):
        while run and (cut := _cut(run, atom, max_registers, max_gap, avoid)):
            batches.append(_batch(run[:cut]))
            del run[:cut]
        run.append(atom)
    if run:
        batches.append(_batch(run))
    return tuple(batches)


def split(batch: Batch) -> tuple[Batch, ...]:
    """The batch in two, between two values, at the widest hole or near the middle.

    A batch whose values all have the same registers cannot be split and comes back alone.
    """
    whole = Avoid(apart=(batch.span,))
    return plan(batch.metrics, whole, max_registers=MAX_BITS, max_gap=batch.count)


def span_of(metrics: Iterable[Metric]) -> Span:
    """The least that holds these metrics, which have one function code."""
    members = list(metrics)
    first = min(metric.address for metric in members)
    end = max(metric.address + metric.size for metric in members)
    return Span(members[0].function_code, first, end - first)


@lru_cache(maxsize=1024)
def names_by_span(register_map: RegisterMap) -> Mapping[Span, Sequence[str]]:
    """The names of the metrics whose value is in exactly these registers."""
    found: dict[Span, list[str]] = {}
    for metric in register_map.metrics:
        found.setdefault(span_of([metric]), []).append(metric.name)
    return found


def torn_groups(batches: Iterable[Batch]) -> tuple[str, ...]:
    """Groups that these batches do not read at one instant, in one read, by name."""
    found: dict[str, set[Span]] = {}
    for batch in batches:
        for metric in batch.metrics:
            if metric.group:
                found.setdefault(metric.group, set()).add(batch.span)
    return tuple(sorted(name for name, spans in found.items() if len(spans) > 1))


class _Atom(NamedTuple):
    """Metrics that stay in one read."""

    span: Span
    metrics: tuple[Metric, ...]


def _most(function_code: int, max_registers: int) -> int:
    return MAX_BITS if function_code in (1, 2) else max_registers


def _atoms(wanted: Sequence[Metric], max_registers: int, avoid: Avoid) -> list[_Atom]:
    """Metrics that belong together; where that is too much for one read, in smaller parts."""
    atoms: list[_Atom] = []
    rest: Sequence[Metric] = wanted
    tied = any(metric.group or metric.scale_register for metric in wanted)
    for ties in (_of_group_and_scale, _of_scale) if tied else ():
        torn: list[Metric] = []
        for family in _families(rest, ties):
            span = span_of(family)
            fits = span.count <= _most(span.function_code, max_registers)
            one_code = len({metric.function_code for metric in family}) == 1
            if one_code and fits and not any(map(span.covers, avoid.apart)):
                atoms.append(_Atom(span, tuple(family)))
            else:
                torn += family
        rest = torn
    atoms += [_Atom(span_of([metric]), (metric,)) for metric in rest]
    return sorted(atoms, key=lambda atom: (atom.span, [metric.name for metric in atom.metrics]))


def _of_scale(metric: Metric) -> list[str]:
    """What ties this metric to others: itself, and the metrics that its scale comes from."""
    return [f"metric {name}" for name in (metric.name, *_scales(metric))]


def _of_group_and_scale(metric: Metric) -> list[str]:
    return [*_of_scale(metric), *([f"group {metric.group}"] if metric.group else [])]


def _scales(metric: Metric) -> list[str]:
    return [term.metric for term in metric.scale_terms]


def _families(metrics: Sequence[Metric], ties: Callable[[Metric], list[str]]) -> list[list[Metric]]:
    """Metrics that are tied to one another, directly or through others."""
    owner: dict[str, list[Metric]] = {}
    families: dict[int, list[Metric]] = {}
    for metric in metrics:
        family = [metric]
        for known in {id(owner[tie]): owner[tie] for tie in ties(metric) if tie in owner}.values():
            families.pop(id(known))
            family = known + family
        families[id(family)] = family
        for member in family:
            owner.update(dict.fromkeys(ties(member), family))
    return list(families.values())


def _cut(run: Sequence[_Atom], atom: _Atom, max_registers: int, max_gap: int, avoid: Avoid) -> int:
    """How many atoms of the run become a batch before `atom` can join the rest; 0: it joins now."""
    first, end = run[0].span, max(one.span.end for one in run)
    if atom.span.function_code != first.function_code or atom.span.address - end > max_gap:
        return len(run)
    if any(span.covers(run[-1].span) != span.covers(atom.span) for span in avoid.secluded):
        return len(run)
    joined = Span(first.function_code, first.address, max(end, atom.span.end) - first.address)
    if joined.count > _most(first.function_code, max_registers):
        return len(run)
    covered = [span for span in avoid.apart if joined.covers(span)]
    if not covered:
        return 0
    return _cut_within(min(covered, key=lambda span: span.count), [*run, atom])


def _cut_within(refused: Span, atoms: Sequence[_Atom]) -> int:
    """The place in `atoms` where a cut leaves no part that covers `refused`.

    Of those in the middle half, so that repeated cuts soon find one bad value among many, the one
    at the widest hole.
    """
    places: list[tuple[int, int]] = []  # (hole, index)
    end = atoms[0].span.end
    for index, atom in enumerate(atoms[1:], start=1):
        if end < refused.end and atom.span.address > refused.address:
            places.append((max(-1, atom.span.address - end), index))
        end = max(end, atom.span.end)
    if not places:
        return len(atoms) - 1
    # Values that overlap are told apart only where nothing else is left to cut.
    places = [place for place in places if place[0] >= 0] or places
    quarter = (len(places) - 1) // 4
    middle = places[quarter : len(places) - quarter]
    centre = (places[0][1] + places[-1][1]) / 2
    return max(middle, key=lambda place: (place[0], -abs(place[1] - centre)))[1]


def _batch(atoms: Sequence[_Atom]) -> Batch:
    metrics = sorted(
        (metric for atom in atoms for metric in atom.metrics),
        key=lambda m: (m.address, m.size, m.name),
    )
    span = span_of(metrics)
    return Batch(span.function_code, span.address, span.count, tuple(metrics))
