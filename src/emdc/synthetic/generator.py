"""Samples of waves over a time range, for filling a database without a meter.

A wave is a constant, a cosine, a sine and noise for one topic; waves of one topic add up at the
instants that they share, so that Fourier terms build any form. Called by `emdc gendata`, window by
window, so that memory stays bounded. Pure: randomness comes in as a function.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from emdc.synthetic.entries import Entry

_DIGITS: Final = 9
"""Digits kept of the largest value that a topic can have: more would only cost space."""

Share: TypeAlias = Callable[[], float]
"""A random number from 0 to 1, such as `random.Random(seed).random`."""


class Window(NamedTuple):
    """A range of time, start ≤ t < end, in microseconds since 1970 UTC."""

    start: int
    end: int


def windows(entries: Sequence[Entry], limit: int) -> Iterator[Window]:
    """The ranges of all entries, cut into windows of about `limit` samples, in order of time.

    Every entry is active in the whole of a window or in nothing of it.
    """
    ranges = [(*entry.range_us, entry.sample_rate) for entry in entries]
    bounds = sorted({bound for start, end, _ in ranges for bound in (start, end)})
    for start, end in pairwise(bounds):
        rate = sum(rate for first, last, rate in ranges if first < end and last > start)
        if rate:
            step = max(1, int(limit / rate * 1e6))
            for left in range(start, end, step):
                yield Window(left, min(left + step, end))


def samples(entries: Sequence[Entry], window: Window, share: Share) -> dict[int, float]:
    """Values of one topic in a window, by instant in microseconds since 1970 UTC.

    offset + A_cos·cos(2πt/period) + A_sin·sin(2πt/period) + noise, t seconds after the entry's
    start; where several entries have a sample at one instant, the sum.
    """
    found: dict[int, float] = {}
    for entry in entries:
        instants = _instants(entry, window)
        values = _values(entry, instants, share)
        if not found:
            found = dict(zip(instants, values, strict=True))
            continue
        for at, value in zip(instants, values, strict=True):
            found[at] = found.get(at, 0.0) + value
    factor = 10.0 ** _decimals(entries)
    return {at: round(value * factor) / factor for at, value in found.items()}


def _instants(entry: Entry, window: Window) -> list[int]:
    """The instants of an entry that lie in a window; together windows have each exactly once."""
    start, end = entry.range_us
    step = 1e6 / entry.sample_rate
    first, last = (
        _index(bound - start, step) for bound in (max(window.start, start), min(window.end, end))
    )
    return [start + round(number * step) for number in range(first, last)]


def _index(offset: int, step: float) -> int:
    """Number of the first sample that is at least `offset` microseconds after the start."""
    number = max(0, int(offset / step) - 1)
    while round(number * step) < offset:
        number += 1
    return number


def _values(entry: Entry, instants: Sequence[int], share: Share) -> list[float]:
    start, _ = entry.range_us
    speed = math.tau / (entry.period * 1e6)
    cosine, sine = entry.amplitude_cos, entry.amplitude_sin
    noise, least = 2.0 * entry.spread, entry.amplitude_offset - entry.spread
    cos, sin = math.cos, math.sin
    if not cosine and not sine:
        return [least + noise * share() for _ in instants]
    angles = (speed * (at - start) for at in instants)
    return [cosine * cos(a) + sine * sin(a) + least + noise * share() for a in angles]


def _decimals(entries: Sequence[Entry]) -> int:
    """Decimals that leave nine digits of the largest value that the entries can add up to."""
    largest = sum(
        abs(entry.amplitude_offset)
        + abs(entry.amplitude_cos)
        + abs(entry.amplitude_sin)
        + entry.spread
        for entry in entries
    )
    before_point = math.ceil(math.log10(largest)) if largest else 0
    return min(max(0, _DIGITS - before_point), 15)
