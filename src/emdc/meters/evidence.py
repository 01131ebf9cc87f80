"""The questions whose answers speak for or against a register map, each with its weight.

A wrong map, unit, address or word order still gives numbers. Each rule asks what is unlikely to be
right by chance: a frequency near 50 or 60 says more than a current that may be anything. What is
zero tells nothing about a sum. A new rule is one function and one row in RULES. Pure.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from emdc.meters.families import measured
from emdc.meters.look import Look, is_measured
from emdc.meters.plausible import TOLERANCE, near

_NEUTRAL: Final = ("AN", "BN", "CN")
_LINES: Final = ("AB", "BC", "CA")
_PHASES: Final = ("A", "B", "C")


class Evidence(NamedTuple):
    """The answer to one question."""

    points: float
    of: float
    """What a perfect answer earns."""
    text: str


def _frequency(look: Look) -> Iterator[Evidence]:
    number = look.at("freq")
    if number is None:
        return
    if min(abs(number - 50), abs(number - 60)) <= 1:
        yield Evidence(8, 8, f"frequency {number:.5g} Hz")
    else:
        points = 3 if 45 <= number <= 65 else 0
        yield Evidence(points, 8, f"frequency {number:.5g} Hz, expected near 50 or 60")


def _voltages(look: Look) -> Iterator[Evidence]:
    """Line to neutral: within limits each, and alike where there are several."""
    found = [look.at("Voltage", place) for place in (*_NEUTRAL, *_PHASES)]
    volts = [number for number in found if number is not None]
    if not volts:
        return
    live = [number for number in volts if 20 <= number <= 20_000]
    shown = ", ".join(f"{number:.4g}" for number in volts)
    yield Evidence(len(live), len(volts), f"phase voltages {shown} V")
    nonzero = [number for number in volts if number]
    if len(nonzero) > 1:
        alike = len(live) == len(nonzero) and max(live) <= 1.1 * min(live)
        yield Evidence(5 * alike, 5, "phase voltages alike" if alike else "phase voltages differ")


def _line_voltages(look: Look) -> Iterator[Evidence]:
    """Between two phases: √3 of a phase to neutral, or twice it in a split-phase supply."""
    lines, phases = look.all_of("Voltage", _LINES), look.all_of("Voltage", _NEUTRAL)
    if not lines or not phases or not all(phases):
        return
    ratio = sum(lines) / sum(phases)
    right = any(near(expected, ratio) for expected in (math.sqrt(3), 2.0))
    yield Evidence(4 * right, 4, f"line voltages are {ratio:.3g} times the phase voltages")


def _sums(look: Look) -> Iterator[Evidence]:
    """A total that is the sum of its phases."""
    for family, weight in (("W", 5), ("VAR", 2)):
        total, phases = look.at(family), look.all_of(family, _PHASES)
        if total is None or phases is None or not any((total, *phases)):
            continue
        added = math.fsum(phases)
        largest = max(abs(total), *(abs(number) for number in phases))
        right = is_measured(*phases, total) and abs(added - total) <= TOLERANCE * largest
        text = f"{family} of the phases makes {added:.6g}, the total is {total:.6g}"
        yield Evidence(weight * right, weight, text)


def _triangles(look: Look) -> Iterator[Evidence]:
    """VA that is the length of W and VAR, in all and for each phase."""
    for place, weight in (("", 5), ("A", 2), ("B", 2), ("C", 2)):
        active, reactive = look.at("W", place), look.at("VAR", place)
        apparent = look.at("VA", place)
        if active is None or reactive is None or apparent is None:
            continue
        expected = math.hypot(active, reactive)
        if not expected and not apparent:
            continue
        right = is_measured(apparent) and near(expected, apparent)
        where = f" of phase {place}" if place else ""
        text = f"W and VAR{where} make {expected:.6g} VA, the meter says {apparent:.6g}"
        yield Evidence(weight * right, weight, text)


def _products(look: Look) -> Iterator[Evidence]:
    """V times A that is VA, for each phase and for all of them."""
    products: list[float] = []
    for phase in _PHASES:
        volts = look.at("Voltage", f"{phase}N")
        amperes, apparent = look.at("Current", phase), look.at("VA", phase)
        if volts is None or amperes is None:
            continue
        products.append(volts * abs(amperes))
        if apparent is not None and (apparent or products[-1]):
            yield _product(products[-1], apparent, f" of phase {phase}", 3)
    total = look.at("VA")
    if total is not None and len(products) in (1, 3) and any((total, *products)):
        yield _product(math.fsum(products), total, "", 3)


def _product(expected: float, apparent: float, where: str, weight: int) -> Evidence:
    right = is_measured(apparent) and abs(expected - apparent) <= 0.1 * max(expected, apparent)
    text = f"V times A{where} make {expected:.6g} VA, the meter says {apparent:.6g}"
    return Evidence(weight * right, weight, text)


def _power_factors(look: Look) -> Iterator[Evidence]:
    """Within -1 to 1, and W / VA; without its sign, which meters give as they like."""
    for place in ("", *_PHASES):
        factor = look.at("pf", place)
        if factor is None:
            continue
        active, apparent = look.at("W", place), look.at("VA", place)
        name = f"pf_{place}" if place else "pf"
        if active is None or apparent is None or not apparent or not is_measured(active, apparent):
            if factor:
                yield Evidence(abs(factor) <= 1.005, 1, f"{name} is {factor:.4g}")
            continue
        expected = abs(active / apparent)
        right = abs(factor) <= 1.005 and abs(abs(factor) - expected) <= 0.03
        yield Evidence(3 * right, 3, f"{name} is {factor:.4g}, W / VA is {expected:.4g}")


def _steady(look: Look) -> Iterator[Evidence]:
    """Voltages and frequency that are nearly the same a moment later."""
    pairs = [*look.pairs("Voltage"), *look.pairs("freq")]
    if not any(first for first, _ in pairs):
        return
    right = all(is_measured(first) and near(first, second) for first, second in pairs)
    text = "steady between two reads" if right else "voltage or frequency jumps between two reads"
    yield Evidence(3 * right, 3, text)


def _counters(look: Look) -> Iterator[Evidence]:
    """Energy that is not negative and did not fall."""
    for metric in look.metrics:
        what = measured(metric.name, metric.unit)
        number = look.first.get(metric.name)
        if number is None or what.family is None or what.family.kind != "counter":
            continue
        right = 0 <= number <= look.second.get(metric.name, number)
        if number:
            yield Evidence(right, 1, f"{metric.name} is {number:.6g}")


def _odd(look: Look) -> Iterator[Evidence]:
    """Numbers that no meter measures; all of them zero; most of them the same."""
    for name, number in look.first.items():
        if number and not is_measured(number):
            yield Evidence(0, 2, f"{name} is {number:.3g}")
    nonzero = [number for number in look.first.values() if number]
    if len(look.first) > 2 and not nonzero:
        yield Evidence(0, 10, "every value is zero")
    repeated = len(nonzero) - len(set(nonzero))
    # Zeros may be many where nothing is used; a measured number is rarely there twice.
    if len(nonzero) > 2 and repeated > len(nonzero) / 2:
        text = f"{len(nonzero)} values are only {len(set(nonzero))} different numbers"
        yield Evidence(0, 3 * repeated, text)


def _missing(look: Look) -> Iterator[Evidence]:
    """Registers that the meter refuses, or in which it says that there is no value."""
    count = sum(metric.name not in look.first for metric in look.metrics)
    if count:
        yield Evidence(0, count, f"{count} of {len(look.metrics)} values are missing")


RULES: Final[tuple[Callable[[Look], Iterator[Evidence]], ...]] = (
    _frequency,
    _voltages,
    _line_voltages,
    _sums,
    _triangles,
    _products,
    _power_factors,
    _steady,
    _counters,
    _odd,
    _missing,
)
