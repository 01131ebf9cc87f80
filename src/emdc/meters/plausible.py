"""Which values of a meter are hard to believe, and why: the marks of `emdc collect`.

A wrong scale, a swapped word or a neighbour's register still gives a number. These are the limits
of what a meter at a building can say, and the sums that must come out. A mark is a hint for whoever
checks a new meter; nothing is refused for it. `evidence` weighs the same for `emdc probe`. Pure.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from emdc.meters.families import base_unit, measured
from emdc.reading import Topic, Value

OK: Final = "ok"
TOLERANCE: Final = 0.05
"""How far a sum may be off, as a share of what it is compared with: values of one reading are not
of one instant, and distortion is part of VA alone."""


_ABSURD: Final = 1e15
# Between neutral and ground there should be nothing, and a share of something is no voltage.
_NO_LIMITS: Final = re.compile(r"_N?G$|_N$|(?i:balance|THD|demand|peak|min|max)")


def marks(topics: Sequence[Topic], values: Mapping[str, Value]) -> dict[str, str]:
    """Metric name → OK, or in a few words what is wrong; only metrics that have a value.

    `values` are in the unit of their topic.
    """
    base = {topic.name: _base(topic, values[topic.name]) for topic in topics if _has(topic, values)}
    found = {name: OK for name in values if values[name] is not None}
    for topic in topics:
        number = base.get(topic.name)
        if number is not None and (problem := _range_problem(topic, number)):
            found[topic.name] = problem
    known = {name: number for name, number in base.items() if number is not None}
    for name, problem in (_triangles(known) | _sums(known)).items():
        if found[name] == OK:
            found[name] = problem
    return found


def _has(topic: Topic, values: Mapping[str, Value]) -> bool:
    return isinstance(values.get(topic.name), int | float)


def _base(topic: Topic, value: Value) -> float | None:
    """The value without a prefix of its unit: kV as V."""
    if not isinstance(value, int | float):
        return None
    return value * base_unit(topic.unit)[1]


def _range_problem(topic: Topic, number: float) -> str:
    if not math.isfinite(number) or abs(number) > _ABSURD:
        return "absurdly large"
    if topic.kind == "counter":
        return "negative counter" if number < 0 else ""
    family = measured(topic.name, topic.unit).family
    if family is None or _NO_LIMITS.search(topic.name):
        return ""
    if family.low <= number <= family.high:
        return ""
    if number == 0:
        return "zero"
    return f"expected {family.low:g} to {family.high:g} {family.unit}".rstrip()


def _triangles(known: Mapping[str, float]) -> dict[str, str]:
    """VA that is not the length of W and VAR, in all and for each phase."""
    found = {}
    for phase in ("", "_A", "_B", "_C"):
        names = (f"W{phase}", f"VAR{phase}", f"VA{phase}")
        if all(name in known for name in names):
            active, reactive, apparent = (known[name] for name in names)
            expected = math.hypot(active, reactive)
            if not near(expected, apparent):
                found[names[2]] = f"W and VAR make {expected:.6g} VA"
    return found


def _sums(known: Mapping[str, float]) -> dict[str, str]:
    """A total that is not the sum of its phases."""
    found = {}
    for name in ("W", "VAR"):
        phases = [f"{name}_{phase}" for phase in "ABC"]
        if name in known and all(phase in known for phase in phases):
            total = math.fsum(known[phase] for phase in phases)
            scale = max(abs(known[name]), *(abs(known[phase]) for phase in phases))
            if abs(total - known[name]) > TOLERANCE * scale:
                found[name] = f"the phases make {total:.6g} {name}"
    return found


def near(expected: float, actual: float) -> bool:
    """Whether two numbers are the same within TOLERANCE of the larger one."""
    return abs(expected - actual) <= TOLERANCE * max(abs(expected), abs(actual))
