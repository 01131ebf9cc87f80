"""Many readings of a register at once: whether they rise, and by no more than it can.

Used by `following` for a quarter hour at a time, in which mostly nothing happens; no loop of Python
goes over them.
"""

from collections.abc import Iterable
from itertools import accumulate, islice
from operator import sub

from emdc.energy.leaps import JITTER


def levels_of(before: float, values: list[float]) -> list[float] | None:
    """The values, with what only trembles held at the highest so far; None when they fall."""
    if values[0] >= before and sorted(values) == values:
        return values
    levels = list(accumulate(values, max, initial=before))[1:]
    return levels if max(map(sub, levels, values)) <= JITTER * max(before, 0.0) else None


def is_steady(levels: list[float], limit: float) -> bool:
    """Whether no step between levels that never fall is over a limit."""
    risen = levels[-1] - levels[0]
    if risen <= limit:
        return True
    # At a tenth of the limit five steps together are below it: a fifth of the differences.
    stride = int(limit * len(levels) / (2 * risen))
    if stride > 1 and _highest_step([*levels[::stride], levels[-1]]) <= limit:
        return True
    return _highest_step(levels) <= limit


def _highest_step(levels: list[float]) -> float:
    steps: Iterable[float] = map(sub, islice(levels, 1, None), levels)
    return max(steps)
