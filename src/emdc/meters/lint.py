"""What is suspicious in a register map that can be used: the hints of `emdc map check`.

The loader refuses what cannot be read, and warns of what is strange in the sheet. Here is what can
be read and is probably not meant: each rule gives the cell, what is wrong and how to mend it. Rules
speak only where the names say what is measured, so that a map of one's own names is left in peace.
A new rule is one function, one row in RULES and one test. Pure: `known` maps come in.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from emdc.meters import lint_phases, lint_rows
from emdc.meters.families import measured
from emdc.meters.lint_rows import Hint
from emdc.meters.register_map import DataType, Metric, RegisterMap

Rule: TypeAlias = Callable[[RegisterMap, Sequence[RegisterMap]], Iterator[Hint]]
"""(the map, maps to compare it with) → what is suspicious."""

SHOWN: Final = 5
"""Findings of one rule that are listed; more of them are only counted."""

_ENOUGH_IN_COMMON: Final = 6
"""Metrics that two maps must share before their addresses are compared."""
_AGREE: Final = 0.75
"""The share of common addresses that must be alike before the others are named."""
_SHIFTS: Final = {
    1: "counted from 1: write address_base 1 in the sheet Meter",
    -1: "one too low: add 1 to every address, or delete address_base 1",
    30_001: "register numbers: subtract 30001 from every address",
    40_001: "register numbers: subtract 40001 from every address",
}


class Finding(NamedTuple):
    """One suspicion."""

    place: str
    """The cell, such as `Metrics!D17`; the metric's name for a map that is in no file."""
    problem: str

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.place}: {self.problem}"


def findings(subject: RegisterMap, known: Sequence[RegisterMap] = ()) -> list[Finding]:
    """All suspicions, in the order of the rules; `known` are maps to compare it with."""
    found: list[Finding] = []
    for rule in RULES:
        hints = [Finding(_place(subject, one), one.problem) for one in rule(subject, known)]
        found += hints[:SHOWN]
        if len(hints) > SHOWN:
            more = len(hints) - SHOWN
            found.append(Finding(hints[SHOWN].place.partition("!")[0], f"and {more} more like it"))
    return found


def _place(subject: RegisterMap, hint: Hint) -> str:
    """The cell that is meant; the row's name where it has no such cell."""
    name, field = hint.metric, hint.field
    return subject.places.get((name, field)) or subject.places.get((name, "name")) or name


# Rules on the map as a whole


def _for_rows(rule: lint_rows.RowRule) -> Rule:
    def each(subject: RegisterMap, _known: Sequence[RegisterMap]) -> Iterator[Hint]:
        for metric in subject.metrics:
            yield from rule(metric, measured(metric.name, metric.unit))

    return each


def numbering(subject: RegisterMap, known: Sequence[RegisterMap]) -> Iterator[Hint]:
    """Addresses that differ from those of a known map by what a wrong start of counting makes."""
    if subject.address_base == 0:
        return
    addresses = {metric.name: metric for metric in subject.metrics}
    for other in known:
        shared = [
            (addresses[theirs.name].address - theirs.address, theirs)
            for theirs in other.metrics
            if theirs.name in addresses and addresses[theirs.name].size == theirs.size
        ]
        shifts = {shift for shift, _ in shared}
        if len(shared) < _ENOUGH_IN_COMMON or len(shifts) > 1:
            continue
        mend = _SHIFTS.get(shifts.pop())
        if mend:
            yield Hint(
                shared[0][1].name,
                "address",
                f"all {len(shared)} addresses shared with the map {other.name} differ alike, "
                f"{mend}; if they are meant as they stand, write address_base 0 in the sheet Meter",
            )
            return


def strays(subject: RegisterMap, known: Sequence[RegisterMap]) -> Iterator[Hint]:
    """The few addresses that differ from those of a known map with which all others agree."""
    agreeing = max(known, key=lambda other: _agreement(subject, other), default=None)
    if agreeing is None or _agreement(subject, agreeing) < _AGREE:
        return
    there = {metric.name: metric.address for metric in agreeing.metrics}
    for metric in subject.metrics:
        if there.get(metric.name, metric.address) != metric.address:
            yield Hint(
                metric.name,
                "address",
                f"{metric.name} at {metric.address}, and at {there[metric.name]} in the map "
                f"{agreeing.name}, which has nearly all others where they are here",
            )


def _agreement(subject: RegisterMap, other: RegisterMap) -> float:
    """The share of common metrics that have one address in both; 0 when there are few."""
    there = {metric.name: metric.address for metric in other.metrics}
    shared = [metric for metric in subject.metrics if metric.name in there]
    if len(shared) < _ENOUGH_IN_COMMON:
        return 0
    return sum(there[metric.name] == metric.address for metric in shared) / len(shared)


def input_numbers(subject: RegisterMap, _known: Sequence[RegisterMap]) -> Iterator[Hint]:
    """Addresses that all look like the numbers of the first input registers."""
    metrics = subject.metrics
    if subject.address_base == 0 or not metrics:
        return
    one_table = len({metric.function_code for metric in metrics}) == 1
    if one_table and all(30_001 <= metric.address < 32_000 for metric in metrics):
        yield Hint(
            metrics[0].name,
            "address",
            "every address lies from 30001 to 31999, like numbers of input registers: subtract "
            "30001 and write Function Code 4, or address_base 0 in the sheet Meter if they are "
            "meant so",
        )


def orders(subject: RegisterMap, _known: Sequence[RegisterMap]) -> Iterator[Hint]:
    """A few values whose words or bytes are turned around, unlike all others of their type."""
    numbers = [metric for metric in subject.metrics if metric.data_type is not DataType.STRING]
    for kind, floats in (("floats", True), ("whole numbers", False)):
        several = [m for m in numbers if m.size > 1 and m.data_type.is_float is floats]
        yield from _minority(several, "word_order", f"Word Order of {kind} of several registers")
    yield from _minority(numbers, "byte_order", "Byte Order")


def _minority(metrics: Sequence[Metric], field: str, what: str) -> Iterator[Hint]:
    count = Counter(getattr(metric, field) for metric in metrics)
    if len(count) < 2:
        return
    (usual, many), *_ = count.most_common()
    for metric in metrics:
        said = getattr(metric, field)
        if said != usual:
            yield Hint(
                metric.name,
                field,
                f"{what} is {said} for {metric.name} and {usual} for {many} others: both meant?",
            )


def units(subject: RegisterMap, _known: Sequence[RegisterMap]) -> Iterator[Hint]:
    """Metrics whose name asks for a unit and that have none."""
    lacking = [metric for metric in subject.metrics if not metric.unit and _asks_for_unit(metric)]
    if len(lacking) > 1 and not any(metric.unit for metric in subject.metrics):
        yield Hint(
            lacking[0].name, "name", "no metric has a unit: add a column Unit, such as V, A, W, Wh"
        )
        return
    for metric in lacking:
        family = measured(metric.name).family
        unit = family.unit if family else ""
        yield Hint(metric.name, "unit", f"{metric.name} has no unit: write {unit}")


def _asks_for_unit(metric: Metric) -> bool:
    what = measured(metric.name)
    return what.is_plain and what.family is not None and bool(what.family.unit)


def secondary(subject: RegisterMap, _known: Sequence[RegisterMap]) -> Iterator[Hint]:
    """Values that are called secondary and are multiplied by no ratio."""
    found = [
        metric
        for metric in subject.metrics
        if "secondary" in metric.description.casefold() and not metric.ratio
    ]
    if found:
        names = f"{found[0].name} and {len(found) - 1} others" if found[1:] else found[0].name
        yield Hint(
            found[0].name,
            "description",
            f"{names} called secondary, without Ratio: add a column Ratio with pt for voltages, ct "
            "for currents, ct*pt for powers, or delete the word if the meter gives primary values",
        )


def siblings(subject: RegisterMap, _known: Sequence[RegisterMap]) -> Iterator[Hint]:
    """Phases of one quantity that are not alike, or one of three that is missing."""
    return lint_phases.siblings(subject.metrics)


def groups(subject: RegisterMap, _known: Sequence[RegisterMap]) -> Iterator[Hint]:
    """Groups whose metrics are due at different times; those that no read holds `explain` names."""
    for name in dict.fromkeys(metric.group for metric in subject.metrics if metric.group):
        members = [metric for metric in subject.metrics if metric.group == name]
        if len({metric.interval_s for metric in members}) > 1:
            yield Hint(
                members[0].name, "interval_s", f"group {name!r} has several intervals: make it one"
            )


RULES: Final[tuple[Rule, ...]] = (
    numbering,
    strays,
    input_numbers,
    *map(_for_rows, lint_rows.RULES),
    units,
    siblings,
    orders,
    secondary,
    groups,
)
