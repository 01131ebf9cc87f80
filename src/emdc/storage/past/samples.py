"""Every stored value, as (instant, topic, value), in an order that does not depend on numbers.

By meter (all of a topic's name before its last slash), by time, by slot. Read page by page: no
query is open for long, so that a slow reader of the output keeps nobody from shrinking a log.
"""

import difflib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Engine, select

from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.database import DIALECTS, connected
from emdc.storage.old_samples import LeftOut, OldSamples, old_samples
from emdc.storage.schema import readings, topics

_ROWS_AT_ONCE: Final = 500


class StoredTopic(NamedTuple):
    """A topic and where its values are."""

    name: str
    topic_id: int
    meter_id: int | None
    """None: only the old collector has stored it."""
    slot: int | None

    @property
    def meter(self) -> str:
        """All before the last slash."""
        return self.name.rpartition("/")[0] or self.name


class Span(NamedTuple):
    """start ≤ ts < end, as stored; empty: no end on that side."""

    start: str = ""
    end: str = ""


Place: TypeAlias = tuple[int, str]
"""Rank within its meter, and name."""
Tick: TypeAlias = tuple[str, Sequence[tuple[int, str, Value]]]
"""Instant; rank, name and value of each topic in order of rank. Sorts by the instant."""


@dataclass(slots=True)
class Export:
    """Stored values of some topics in a span."""

    engine: Engine
    topics: Sequence[StoredTopic]
    span: Span = field(default_factory=Span)
    left: LeftOut = field(default_factory=LeftOut)
    """What is left out; complete when all ticks were given."""

    def in_order(self) -> list[StoredTopic]:
        """The topics as they come at one instant, meter by meter."""
        return sorted(self.topics, key=lambda topic: (topic.meter, _rank(topic)))

    def ticks(self) -> Iterator[Tick]:
        """All of them in order, each once. Raises StorageError when the database fails."""
        old = old_samples(self.engine)
        if old is not None and old.zone is None:
            self.left.open_zone = old.count([topic.topic_id for topic in self.topics])
            old = None
        for _, mine in groupby(self.in_order(), key=lambda topic: topic.meter):
            yield from self._of_meter(list(mine), old)

    def _of_meter(self, mine: Sequence[StoredTopic], old: OldSamples | None) -> Iterator[Tick]:
        by_row: dict[int, dict[int, Place]] = {}
        by_id: dict[int, Place] = {}
        for rank, topic in enumerate(mine):
            by_id[topic.topic_id] = (rank, topic.name)
            if topic.meter_id is not None and topic.slot is not None:
                by_row.setdefault(topic.meter_id, {})[topic.slot] = (rank, topic.name)
        sources = [self._readings(meter_id, places) for meter_id, places in by_row.items()]
        if old is not None:
            sources.append(self._old(old, by_id))
        if len(sources) == 1:
            yield from sources[0]
            return
        # The key is stable: of one instant, readings come before old rows, and win.
        merged = heapq.merge(*sources, key=itemgetter(0))
        for ts, ticks in groupby(merged, key=itemgetter(0)):
            yield ts, self._united([cells for _, cells in ticks])

    def _readings(self, meter_id: int, places: Mapping[int, Place]) -> Iterator[Tick]:
        values = DIALECTS[self.engine.dialect.name].values
        wanted = [(slot, *place) for slot, place in places.items()]
        for row in self._rows(meter_id):
            vals = values(row)
            width = len(vals)
            cells = [
                (rank, name, vals[slot])
                for slot, rank, name in wanted
                if slot < width and vals[slot] is not None
            ]
            if cells:
                yield row.ts, cells

    def _rows(self, meter_id: int) -> Iterator[Any]:
        columns = DIALECTS[self.engine.dialect.name].value_columns
        ts = readings.c.ts
        query = select(ts, *columns).where(readings.c.meter_id == meter_id).order_by(ts)
        if self.span.end:
            query = query.where(ts < self.span.end)
        page = query.where(ts >= self.span.start) if self.span.start else query
        while True:
            with connected(self.engine) as connection:
                rows = connection.execute(page.limit(_ROWS_AT_ONCE)).all()
            yield from rows
            if len(rows) < _ROWS_AT_ONCE:
                return
            page = query.where(ts > rows[-1].ts)

    def _old(self, old: OldSamples, places: Mapping[int, Place]) -> Iterator[Tick]:
        for ts, values in old.ticks(list(places), self.span, self.left):
            yield ts, sorted((*places[topic_id], value) for topic_id, value in values.items())

    def _united(self, ticks: Sequence[Sequence[tuple[int, str, Value]]]) -> list[Any]:
        if len(ticks) == 1:
            return list(ticks[0])
        found: dict[int, tuple[int, str, Value]] = {}
        for cells in ticks:
            for cell in cells:
                self.left.doubled += cell[0] in found
                found.setdefault(cell[0], cell)
        return [found[rank] for rank in sorted(found)]


def stored_topics(engine: Engine) -> list[StoredTopic]:
    """All topics of the database."""
    columns = topics.c
    query = select(columns.topic_name, columns.topic_id, columns.meter_id, columns.slot)
    with connected(engine) as connection:
        return [StoredTopic(*row) for row in connection.execute(query)]


def chosen(known: Sequence[StoredTopic], patterns: Sequence[str]) -> list[StoredTopic]:
    """The topics of these names, and those below them; all without a pattern.

    Raises ConfigError, with the nearest names, for a pattern that fits none.
    """
    if not patterns:
        return list(known)
    found: dict[str, StoredTopic] = {}
    for pattern in patterns:
        fitting = {topic.name: topic for topic in known if _fits(topic.name, pattern)}
        if not fitting:
            raise ConfigError(
                f"--topic: no topic is {pattern!r} or begins with {pattern.rstrip('/')}/"
                f"{_nearest(pattern, known)}"
            )
        found |= fitting
    return list(found.values())


def _rank(topic: StoredTopic) -> tuple[bool, int, int, str]:
    """Slots in their order, then topics without one by name."""
    has_none = topic.slot is None
    return has_none, topic.meter_id or 0, topic.slot or 0, topic.name


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or name.startswith(f"{pattern.rstrip('/')}/")


def _nearest(pattern: str, known: Sequence[StoredTopic]) -> str:
    names = {topic.name for topic in known}
    names |= {topic.meter for topic in known}
    near = difflib.get_close_matches(pattern, sorted(names), n=3, cutoff=0.5)
    if near:
        return f", did you mean {' or '.join(near)}"
    return f", expected for example {min(names)}" if names else ": the database has no topics"
