"""One number for how well what a meter said fits a register map, and the reasons for it.

The limits are those that docs/utilities.md explains. Called by `probe`. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from emdc.meters.evidence import RULES, Evidence
from emdc.meters.look import Look
from emdc.meters.register_map import Metric
from emdc.reading import Value

Verdict: TypeAlias = Literal["fits", "perhaps", "too little", "no"]

FITS: Final = 80
"""Per cent of the weight from which a map is said to fit, with ENOUGH points."""
PERHAPS: Final = 60
"""From here it is named as possible; below it does not fit."""
ENOUGH: Final = 15
"""Points that a map must have earned: a lone frequency is no proof."""


@dataclass(frozen=True)
class Score:
    """All evidence on one map, unit, address base and word order."""

    evidence: tuple[Evidence, ...] = ()

    @property
    def points(self) -> float:
        """What was earned."""
        return sum(one.points for one in self.evidence)

    @property
    def percent(self) -> int:
        """The share of what could be earned, 0 to 100; 0 without any evidence."""
        possible = sum(one.of for one in self.evidence)
        return int(100 * self.points / possible) if possible else 0

    @property
    def rank(self) -> float:
        """For comparing: of two that fit, the one with more evidence is the better."""
        return 2 * self.points - sum(one.of for one in self.evidence)

    @property
    def fits(self) -> bool:
        """Good enough to be recommended."""
        return self.percent >= FITS and self.points >= ENOUGH

    @property
    def is_near(self) -> bool:
        """Good enough to be worth more questions."""
        return self.percent >= PERHAPS and self.points >= ENOUGH

    @property
    def verdict(self) -> Verdict:
        """In a word; `too little` when all is believable and nothing proves it."""
        if self.fits:
            return "fits"
        if self.is_near:
            return "perhaps"
        return "too little" if self.percent >= FITS else "no"

    @property
    def reasons(self) -> list[str]:
        """What speaks for it and what against, the weightiest first: `+ …` and `- …`."""
        order = sorted(self.evidence, key=lambda one: -one.of)
        good = [f"+ {one.text}" for one in order if one.points * 2 >= one.of]
        return good + [f"- {one.text}" for one in order if one.points * 2 < one.of]


def weigh(
    metrics: Sequence[Metric], first: Mapping[str, Value], second: Mapping[str, Value]
) -> Score:
    """The score of two reads of these metrics; `second` is empty when there was none."""
    look = Look(metrics, first, second)
    return Score(tuple(found for rule in RULES for found in rule(look)))
