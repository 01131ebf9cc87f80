"""What is known of a counter's register: points, what it may do, where it stands, where it leapt.

The types that `following` and `cells` speak; a `State` is all that is needed to go on from where
readings were followed before. Pure: no clock, no disk, no network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

MarkKind: TypeAlias = Literal["swap", "ratio", "reset", "rollover", "glitch", "real"]
EpochKind: TypeAlias = Literal["reset", "rollover", "swap", "ratio", "jump", "return"]


class Point(NamedTuple):
    """What a register showed at an instant."""

    at: float
    """Seconds since 1970 UTC."""
    value: float
    """An int stays one: registers count beyond 2^53."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a counter can do."""

    max_rate: float | None = None
    """The most that it can rise in an hour, in its unit; None: not known."""
    modulus: float | None = None
    """Where it begins again at 0; None: nobody knows."""
    confirm: int = 3
    """So many readings that agree make a leap true; fewer are glitches."""


UNKNOWN: Final = Rules()
"""A counter of which nobody said what it can do."""


class Mark(NamedTuple):
    """What a user, or a change of settings, says of an instant: it decides the step over it."""

    at: float
    """The step whose later reading is the first at or after this instant."""
    kind: MarkKind
    before: float | None = None
    """The register's last value before it, when known."""
    after: float | None = None
    """Its first value after it, when known."""


class Lost(NamedTuple):
    """Where a register stood before it leapt. It may come back there."""

    at: float
    value: float
    shown: float
    """What it showed right after, on today's count: nothing was counted since when it shows it."""


class Edge(NamedTuple):
    """The step over the start of a cell, by which the cells before it were reckoned."""

    start: float | None
    """When it begins; None: all that was read before was no good."""
    end: float
    value: float
    """The register at its end."""
    energy: float | None
    suspect: bool


class State(NamedTuple):
    """Where following stands: enough to go on."""

    tail: tuple[Point, ...] = ()
    """The last accepted points, at most `confirm`. Up to the first one nothing can change, unless
    the register comes back to a lost place."""
    pending: tuple[Point, ...] = ()
    """Readings that do not fit and agree with each other, at most `confirm`."""
    since: float | None = None
    """Since when the register may have stood at the value of `tail[0]`."""
    lost: tuple[Lost, ...] = ()
    """Where the register was before its last leaps, oldest first, at most three."""
    edge: Edge | None = None
    """Only of a state at the start of a cell, see `cells`; following does not look at it."""

    def to_plain(self) -> list[Any]:
        """Lists and numbers for JSON, without what is empty at the end; `from_plain` reads them."""
        plain: list[Any] = [
            [list(point) for point in self.tail],
            [list(point) for point in self.pending],
            self.since,
            [list(place) for place in self.lost],
            None if self.edge is None else list(self.edge),
        ]
        while plain and not plain[-1]:
            plain.pop()
        return plain

    @classmethod
    def from_plain(cls, plain: Sequence[Any]) -> Self:
        """The state that `to_plain` wrote."""
        known = dict(zip(cls._fields, plain, strict=False))
        edge = known.get("edge")
        return cls(
            tail=tuple(Point(*point) for point in known.get("tail", ())),
            pending=tuple(Point(*point) for point in known.get("pending", ())),
            since=known.get("since"),
            lost=tuple(Lost(*place) for place in known.get("lost", ())),
            edge=None if edge is None else Edge(*edge),
        )


NEW: Final = State()
"""Nothing was read yet."""


class Step(NamedTuple):
    """From one accepted point to the next."""

    start: Point
    end: Point
    energy: float
    """What was counted between them, never negative."""
    suspect: bool
    """The register leapt between them."""


class Epoch(NamedTuple):
    """A place where the register began anew."""

    at: float
    """When the first point after it was read."""
    kind: EpochKind
    """`return`: it came back to where it was; what it showed since `before` was false."""
    before: float
    after: float
    marked: bool
    """A mark decided it; else it was found."""


class Followed(NamedTuple):
    """What readings made of a state."""

    state: State
    steps: list[Step]
    """From `tail[0]` of the state before, or from where the register came back to, to the last
    accepted point; those from `tail[0]` of the new state on may still change."""
    epochs: list[Epoch]
    """Those among the steps."""
