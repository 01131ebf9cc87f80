"""Where the readings of a meter begin, how they come, and where a fold of them can begin.

Satisfies `walk.Origin`. Rows of the old collector are part of a meter's readings once it
is known what their times mean.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Engine, column, func, select, table

from emdc.energy.answers import cell_of
from emdc.energy.cells import Row
from emdc.storage.columns import Instant
from emdc.storage.database import connected
from emdc.storage.instants import seconds_of
from emdc.storage.intervals.facts import Subject
from emdc.storage.intervals.source import readings_of, with_old
from emdc.storage.intervals.states import (
    Beginning,
    Progress,
    beginning,
    first_reading,
)
from emdc.storage.intervals.write import Span
from emdc.storage.old_samples import LeftOut, old_samples

_MARGIN_S: Final = 172_800.0
"""More than any zone is away from UTC."""
_EARLIEST: Final = 631_152_000.0
"""1990: what lies before is of a clock that was never set."""


class OldRows:
    """What the old collector left in one database; looked up once."""

    def __init__(self, engine: Engine) -> None:
        found = old_samples(engine)
        self.samples: Final = None if found is None or found.zone is None else found
        """None: nothing, or nobody has said what its times mean."""
        self.until = 0.0
        """No row is later, in seconds since 1970."""
        if self.samples is not None:
            newest = select(func.max(column("ts", Instant))).select_from(table("data_old"))
            with connected(engine) as connection:
                last = connection.execute(newest).scalar()
            self.until = seconds_of(last) + _MARGIN_S if last else 0.0
        self._firsts: dict[tuple[int, int], float | None] = {}

    def first(self, meter_id: int, topic_ids: Sequence[int]) -> float | None:
        """The quarter hour of the first row of a meter's topics; None: there is none."""
        if self.samples is None:
            return None
        key = (meter_id, len(topic_ids))
        if key not in self._firsts:
            ticks = self.samples.ticks(topic_ids, ("", ""), LeftOut())
            instants = (seconds_of(ts) for ts, _ in ticks)
            self._firsts[key] = next((cell_of(at) for at in instants if at >= _EARLIEST), None)
        return self._firsts[key]


class Readings:
    """One meter's readings."""

    def __init__(self, engine: Engine, subject: Subject, old: OldRows) -> None:
        self._engine = engine
        self._subject = subject
        self._old = old
        self._slots = {topic_id: slot for slot, topic_id in subject.topics.items()}
        self._counts: dict[float, int] = {}

    def pages(self, start: float) -> Iterator[list[Row]]:
        """Its rows from an instant on, in order of time. Raises StorageError."""
        self._counts = {cell: number for cell, number in self._counts.items() if cell < start}
        pages = self._counted(readings_of(self._engine, self._subject.meter_id, start))
        if self._old.samples is None or start >= self._old.until:
            return pages
        return with_old(pages, self._old.samples, self._slots, start)

    def beginning(self, at: float, known: Progress | None = None) -> Beginning | None:
        """The last quarter hour at or before `at` where a fold can begin; never one before the
        first reading, or of readings that were deleted. None: there is no reading.

        `known`: how far quarter hours are made.
        """
        kept_from = self._subject.kept_from
        at = max(at, kept_from)
        with connected(self._engine) as connection:
            found = beginning(connection, self._subject.meter_id, at, known)
        if found is not None and (kept_from or (known is not None and known.through_at <= at)):
            return Beginning(max(found.start, kept_from), found.states)
        first = self.first()
        if first is None:
            return None
        if found is None:
            return Beginning(max(first, kept_from), {})
        # A closed day holds quarter hours from before the first reading, of which nothing is said.
        return Beginning(max(found.start, first), found.states)

    def first(self) -> float | None:
        """The quarter hour of the first reading; None: there is none."""
        with connected(self._engine) as connection:
            first = first_reading(connection, self._subject.meter_id)
        earlier = self._old.first(self._subject.meter_id, list(self._slots))
        return min((at for at in (first, earlier) if at is not None), default=None)

    def count(self, span: Span) -> int:
        """How many rows of `readings` the pages had in a span."""
        start, end = span
        return sum(number for cell, number in self._counts.items() if start <= cell < end)

    def _counted(self, pages: Iterator[list[Row]]) -> Iterator[list[Row]]:
        for page in pages:
            for at, _ in page:
                cell = cell_of(at)
                self._counts[cell] = self._counts.get(cell, 0) + 1
            yield page
