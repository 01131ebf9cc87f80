"""Which step of a register is possible, and what a leap was.

A step is normal when the register rose by no more than it can. It may have stood still before: a
register of whole kWh, or one that its meter writes every quarter hour, rises at once by what was
counted since it rose last.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from emdc.energy.counter import EpochKind, Lost, Mark, MarkKind, Point, Rules
from emdc.energy.precision import rise, total

JITTER: Final = 2.0**-21
"""A fall by less than this part of the register is none: a FLOAT32 register that its meter sums of
three phases goes back by a unit in the last place (2^-24) now and then."""
_STANDS_S: Final = 86400.0
"""The longest time that a register may stand still and then rise by all that was counted."""
_AWAY_S: Final = 31 * 86400.0
"""A register that counted since, and for so long, does not come back to where it was."""
_REMEMBERED: Final = 3


class Leap(NamedTuple):
    """What was counted in a step that is no plain rise."""

    energy: float
    kind: EpochKind
    marked: bool

    @property
    def suspect(self) -> bool:
        """No one vouches for it. A mark `real` does; another register is never known so well."""
        return not (self.marked and self.kind == "jump")


def level_after(
    before: Point, point: Point, *, since: float, max_rate: float | None
) -> float | None:
    """The register value that `point` gives when it follows `before`; None: that cannot be.

    `since`: when the register last had another value than that of `before`.
    """
    gain = point.value - before.value
    if gain <= 0:
        return before.value if -gain <= JITTER * abs(before.value) else None
    if max_rate is None:
        return point.value
    # A register at 0 may be one that was not read: it has not been standing.
    stood = min(point.at - since, _STANDS_S) if before.value else 0.0
    span = max(point.at - before.at, stood)
    return (
        point.value if _possible(before.value, point.value, max_rate=max_rate, span=span) else None
    )


def returns(lost: Sequence[Lost], before: Point, point: Point, *, rules: Rules) -> bool:
    """Whether a rise brings the register back to where it was before a leap, however long it took.

    It does when one step is most of the way back: then the register had not been counting. One that
    had may go by where it was, when it can rise so far in that step alone.
    """
    rate, span = rules.max_rate, point.at - before.at
    return any(
        before.value < place.value <= point.value
        and (
            before.value <= place.shown
            or rate is None
            or not _possible(before.value, point.value, max_rate=rate, span=span)
        )
        and point.value - before.value > (place.value - place.shown) / 2
        and point.value - place.value >= before.value - place.shown
        for place in lost
    )


def came_back(
    before: Point, point: Point, *, rules: Rules, lost: Sequence[Lost]
) -> tuple[Lost, tuple[Lost, ...]] | None:
    """The newest place that a register can have come back to in a leap that readings confirmed.

    All that it showed since was false. And the places to which it may still come back then.
    """
    for index in range(len(lost) - 1, -1, -1):
        place = lost[index]
        gain, span = point.value - place.value, point.at - place.at
        if (
            -gain <= JITTER * abs(place.value)
            and (before.value <= place.shown or span <= _AWAY_S)
            and (
                rules.max_rate is None
                or _possible(place.value, point.value, max_rate=rules.max_rate, span=span)
            )
        ):
            return place, _shifted(lost[:index], place.value - place.shown)
    return None


def judge(
    before: Point, point: Point, *, rules: Rules, lost: Sequence[Lost]
) -> tuple[Leap, tuple[Lost, ...]]:
    """What a leap was that readings confirmed, that no mark explains and that is no return.

    And the places to which the register may come back from now on.
    """
    leap = _fell(before, point, rules) if point.value < before.value else _JUMP
    new = Lost(before.at, before.value, point.value)
    return leap, (*_shifted(lost, point.value - before.value), new)[-_REMEMBERED:]


_KINDS: Final[dict[MarkKind, EpochKind]] = {
    "swap": "swap",
    "ratio": "ratio",
    "reset": "reset",
    "rollover": "rollover",
    "glitch": "jump",
    "real": "jump",
}
_JUMP: Final = Leap(0.0, "jump", marked=False)


def marked(before: Point, point: Point, *, rules: Rules, marks: Sequence[Mark]) -> Leap:
    """What was counted in a step over marks: up to each, and from it on, where that is known."""
    parts: list[float] = []
    level: float | None = before.value
    for mark in marks:
        if mark.kind == "real":
            continue
        top, bottom = mark.before, mark.after
        if mark.kind == "rollover" and top is None:
            top = _whole(rules.modulus, before.value)
        if mark.kind in {"reset", "rollover"} and bottom is None:
            bottom = 0
        if top is not None and level is not None:
            parts.append(max(rise(level, top), 0))
        level = bottom
    if level is not None:
        parts.append(max(rise(level, point.value), 0))
    energy = total(parts)
    return Leap(energy, _KINDS[marks[-1].kind], marked=True)


def _shifted(lost: Sequence[Lost], by: float) -> tuple[Lost, ...]:
    """The places on another count."""
    return tuple(place._replace(shown=place.shown + by) for place in lost)


def _fell(before: Point, point: Point, rules: Rules) -> Leap:
    """A roll-over when that is possible, else a reset."""
    modulus, span = _whole(rules.modulus, before.value), point.at - before.at
    if modulus is not None and point.value >= 0 and modulus / 2 < before.value < modulus:
        around = total([rise(before.value, modulus), rise(0, point.value)])
        if rules.max_rate is None:
            possible = before.value > 0.9 * modulus and point.value < 0.1 * modulus
        else:
            possible = _possible(0, around, max_rate=rules.max_rate, span=span)
        if possible:
            return Leap(around, "rollover", marked=False)
    from_zero = (
        rules.max_rate is not None
        and point.value >= 0
        and _possible(0, point.value, max_rate=rules.max_rate, span=span)
    )
    return Leap(point.value if from_zero else 0.0, "reset", marked=False)


def _possible(before: float, after: float, *, max_rate: float, span: float) -> bool:
    """Whether a register can rise so far in so many seconds, give or take one in its last place."""
    gain, limit = after - before, max_rate * span / 3600 + 1e-12 * abs(after)
    return gain <= limit or gain <= limit + min(_unit(before), _unit(after))


def _unit(value: float) -> float:
    """One in the last decimal place that a value shows: 1 of 537, 0.1 of 53.7."""
    if value == int(value):
        return 1.0
    text = repr(value)
    return 0.0 if "e" in text else 10.0 ** -(len(text) - text.index(".") - 1)


def _whole(modulus: float | None, value: float) -> float | None:
    """The modulus as an integer when the register is one, so that nothing beyond 2^53 is lost."""
    return modulus if modulus is None or type(value) is not int else int(modulus)
