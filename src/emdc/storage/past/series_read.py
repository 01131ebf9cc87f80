"""A topic over a span, from whatever is both fine enough and few enough.

Few readings are given as they are, many are joined to steps: seconds of a day come from half
minutes where these are stored, longer spans from quarter hours. Steps are aligned to UTC, and each
is whole: the first and the last one reach beyond the span. All questions of one answer see one
moment of the database.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from emdc.energy.answers import CELL_S, Bucket, Series, Source, TopicFacts, day_of
from emdc.energy.periods import nice_step
from emdc.storage.instants import text_of
from emdc.storage.past.asking import Asker
from emdc.storage.past.cells_read import SUMMARY, cells_of, has_days, summaries
from emdc.storage.past.details_read import HALF_S, details_of
from emdc.storage.past.raw_values import Span, first_of, instant_of, numbers_of, slot_of
from emdc.storage.past.samples import StoredTopic
from emdc.storage.past.series import Summaries, buckets, chained, joined, of_points
from emdc.storage.past.tokens import Points
from emdc.storage.past.unfolded import begin_of, summed_up

FEW: Final = 5000
"""So many readings are read one by one, even where something shorter would do."""
MANY: Final = 20_000
"""More of them than that never are."""

Earlier = Callable[[float, float, int], Points]
"""The first so many of a topic's numbers in start ≤ t < end that the old collector left."""


class Asked(NamedTuple):
    """What is wanted of a topic."""

    topic: StoredTopic
    facts: TopicFacts
    start: float
    end: float
    step_s: float | None
    """None: whatever makes at most `points` buckets of the whole span; 0: readings as stored."""
    points: int


class _Found(NamedTuple):
    step_s: float
    source: Source
    buckets: Sequence[Bucket]
    next_start: float | None = None


class SeriesReader:
    """Reads one answer."""

    def __init__(self, asker: Asker, asked: Asked, earlier: Earlier | None) -> None:
        self._asker = asker
        self._asked = asked
        self._earlier = earlier
        self._cut: float | None = None
        """Where what was read ends before its span does: there was too much of it."""
        self._place = slot_of(asked.topic)
        self._first = None if self._place is None else first_of(asker, self._place.meter_id)

    def read(self) -> Series:
        """The answer."""
        asked = self._asked
        if asked.step_s is None:
            found = self._whole()
        elif asked.step_s == 0:
            found = self._page_as_stored()
        else:
            found = self._page(float(asked.step_s))
        return Series(
            asked.facts,
            asked.start,
            asked.end,
            found.step_s,
            found.source,
            found.buckets,
            found.next_start,
        )

    def _whole(self) -> _Found:
        """The whole span in at most `points` buckets."""
        start, end, points = self._asked.start, self._asked.end, self._asked.points
        few = self._few(start, end)
        if few is not None and self._are_deleted(few, start, end):
            step = nice_step(end - start, points, CELL_S, start=start)
            return self._in_steps(step, start, end, may_grow=False)
        if few is not None and len(few.times) <= points:
            return _Found(0.0, "readings", buckets(of_points(few)))
        step = nice_step(end - start, points, start=start)
        if few is not None:
            readings = of_points(self._read(*_aligned(start, end, step)))
            return self._joined(step, "readings", readings)
        return self._in_steps(step, start, end, may_grow=True)

    def _page_as_stored(self) -> _Found:
        """The first `points` readings."""
        start, end, points = self._asked.start, self._asked.end, self._asked.points
        found = Points([], [])
        while start < end and len(found.times) <= points:
            # Where the topic has no value in many of its meter's readings, further ones are needed.
            page = self._reach(start, end, points + 1)
            more = self._read(start, page, points + 1)
            found = Points(found.times + more.times, found.values + more.values)
            start = page
        following = found.times[points] if len(found.times) > points else None
        kept = Points(found.times[:points], found.values[:points])
        return _Found(0.0, "readings", buckets(of_points(kept)), following)

    def _page(self, step: float) -> _Found:
        """The first `points` steps of a length that is given."""
        start, end = _aligned(self._asked.start, self._asked.end, step)
        reach = (round(start / step) + self._asked.points) * step
        found = self._in_steps(step, start, min(end, reach), may_grow=False)
        if reach < end and found.next_start is None:
            return found._replace(next_start=reach)
        return found

    def _in_steps(self, step: float, start: float, end: float, *, may_grow: bool) -> _Found:
        start, end = _aligned(start, end, step)
        self._cut = None
        if step % CELL_S == 0:
            return self._joined(step, "intervals", self._quarter_hours(start, end))
        if not self._is_more(start, end, MANY):
            return self._joined(step, "readings", of_points(self._read(start, end)))
        if step % HALF_S == 0 and (halves := self._half_minutes(start, end)) is not None:
            return self._joined(step, "details", halves)
        if may_grow:
            return self._in_steps(float(CELL_S), start, end, may_grow=False)
        return self._joined(step, "readings", of_points(self._read(start, end)))

    def _joined(self, step: float, source: Source, parts: Summaries) -> _Found:
        if self._cut is None:
            return _Found(step, source, joined(parts, step))
        whole = self._cut // step * step
        return _Found(step, source, joined(parts.within(0, whole), step), whole)

    def _few(self, start: float, end: float) -> Points | None:
        """The readings of a span; None: too many."""
        if self._is_surely_more(start, end) or self._is_more(start, end, FEW):
            return None
        found = self._read(start, end, FEW + 1)
        return None if len(found.times) > FEW else found

    def _are_deleted(self, found: Points, start: float, end: float) -> bool:
        """Whether a span has no readings any more where it has quarter hours."""
        # Whole days are deleted: that of the first reading is as it was.
        first = end if self._first is None else min(day_of(self._first), end)
        if start >= first or (found.times and found.times[0] < first):
            return False
        return has_days(self._asker, self._asked.topic, start, first)

    def _is_surely_more(self, start: float, end: float) -> bool:
        """Whether the schedule says so; spares counting."""
        interval = self._asked.facts.interval_s
        if interval is None or self._first is None or self._place is None:
            return False
        return min(end, self._last()) - max(start, self._first) > 3 * FEW * interval

    def _last(self) -> float:
        rows = self._asker.ask(
            "SELECT seconds(ts) FROM readings WHERE meter_id = ? ORDER BY ts DESC LIMIT 1",
            self._asked.topic.meter_id,
        )
        return self._asker.speech.times(rows[0])[0]

    def _is_more(self, start: float, end: float, most: int) -> bool:
        """Whether the meter has more than `most` readings in the span."""
        if self._place is None:
            return False
        span = _span(start, end)
        return instant_of(self._asker, self._place.meter_id, span, most) is not None

    def _reach(self, start: float, end: float, rows: int) -> float:
        """Where so many readings of the meter end that begin at `start`."""
        if self._place is None or start >= end:
            return end
        found = instant_of(self._asker, self._place.meter_id, _span(start, end), rows)
        return end if found is None else found

    def _read(self, start: float, end: float, most: int = MANY) -> Points:
        """The numbers of a span; of the old collector at most so many, before the first reading."""
        earlier = Points([], [])
        if self._earlier is not None:
            until = end if self._first is None else min(end, self._first)
            earlier = self._earlier(start, until, most)
            if len(earlier.times) == most:
                self._cut = earlier.times[-1]
                return earlier
        if self._place is None or self._first is None or end <= self._first:
            return earlier
        found = numbers_of(self._asker, self._place, _span(start, end))
        if not earlier.times:
            return found
        return Points(earlier.times + found.times, earlier.values + found.values)

    def _quarter_hours(self, start: float, end: float) -> Summaries:
        """From the stored ones, and those that are not stored yet."""
        topic = self._asked.topic
        stored = cells_of(self._asker, topic, (start, end), SUMMARY)
        if self._place is not None:
            begin = begin_of(self._asker, topic)
            if begin is not None and begin.at < end:
                live = summed_up(self._asker, self._place, max(begin.at, start), end)
                stored, self._cut = stored.then(live.cells), live.cut
        # Nothing is made yet of a topic that only the old collector had.
        return summaries(stored) if stored.ts else of_points(self._read(start, end))

    def _half_minutes(self, start: float, end: float) -> Summaries | None:
        """Where there are none, readings; None when these were too many."""
        if self._place is None:
            return None
        low, high = _aligned(start, end, CELL_S)
        details = details_of(self._asker, self._place, (low, high))
        if not details.cells:
            return None
        lacking = _holes([low - CELL_S, *details.cells, high])
        if any(self._is_more(*hole, MANY) for hole in lacking):
            return None
        readings = [of_points(self._read(*hole)) for hole in lacking]
        found = chained([details.summaries, *readings])
        if readings:
            found = found.where(sorted(range(len(found.starts)), key=found.starts.__getitem__))
        return found.within(start, end)


def _holes(cells: Sequence[float]) -> list[tuple[float, float]]:
    """Spans between quarter hours that are not neighbours."""
    return [(a + CELL_S, b) for a, b in pairwise(cells) if b - a > CELL_S]


def _aligned(start: float, end: float, step: float) -> tuple[float, float]:
    """The span and what the steps at its ends have beyond it."""
    return math.floor(start / step) * step, math.ceil(end / step) * step


def _span(start: float, end: float) -> Span:
    return text_of(start), text_of(end)
