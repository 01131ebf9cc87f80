"""What the database knows of the past: the one place where HTTP, commands and the page ask.

The exact SQL is in the modules that it is made of: `raw_values` (readings), `cells_read` (quarter
hours), `details_read` (half minutes), `gap_ranges`. All answers are the same on every engine.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from sqlalchemy import Engine

from emdc.energy.answers import CELL_S, EnergyAnswer, EpochRow, GapRange, Per, Series, TopicFacts
from emdc.energy.cells import MeterFacts, SlotFacts
from emdc.energy.periods import END_OF_TIME, periods
from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.database import connected
from emdc.storage.instants import text_of
from emdc.storage.intervals.facts import subject
from emdc.storage.past import energy_read, gap_ranges, raw_values, series_read
from emdc.storage.past.asking import Asker, Asking
from emdc.storage.past.cells_read import last_read
from emdc.storage.past.old_points import OldPoints
from emdc.storage.past.raw_values import Slot, first_of, instant_of, slot_of, values_of
from emdc.storage.past.samples import StoredTopic
from emdc.storage.past.tick_grid import Grid
from emdc.storage.past.tokens import Points, exact
from emdc.storage.past.topics import UTC, MeterNow, TopicBook
from emdc.zone import zone

PAGE_ROWS: Final = 5000
"""Readings that a stream reads at once."""
MOST_POINTS: Final = 100_000
"""Buckets of one answer."""

_LEAST_ROWS: Final = 100
"""At once: where a topic is rarely read, one would be a question for each of its meter's rows."""
_LONGEST_S: Final = 1e9
_FRESH_S: Final = 5.0
_MOST_METERS: Final = 2000
_EPOCHS: Final = (
    "SELECT t.topic_name, seconds(e.from_ts), e.kind, e.before_value, e.after_value, e.source,"
    " e.note FROM counter_epochs AS e JOIN topics AS t ON t.topic_id = e.topic_id"
)


class Zones(NamedTuple):
    """Which zone a meter's days are of, where its settings in the database do not say it."""

    by_meter: Mapping[str, str]
    """Of configured meters: these are stronger than what the database says."""
    default: str = UTC


class Chronicle:
    """Answers from one database, for any thread; `close` it at the end.

    A topic is named in full, or by its metric while one meter has it. Instants are seconds since
    1970 UTC. `clock` says what time it is. Every question raises UnknownTopicError for a name that
    is none, ConfigError for one that cannot be answered, StorageError when the database fails.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], float] = time.time,
        zones: Zones = Zones({}),  # noqa: B008 (it cannot be changed)
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._asking = Asking(engine)
        self._book = TopicBook(
            self._asking, time.monotonic, zones=zones.by_meter, zone=zones.default
        )
        self._old = OldPoints(engine)
        self._subjects: dict[int, tuple[float, MeterFacts]] = {}

    def close(self) -> None:
        """End its connections."""
        self._asking.close()

    def __enter__(self) -> "Chronicle":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def topic(self, name: str) -> TopicFacts:
        """What is said of a topic; its name is in full then."""
        return self._book.facts(name)

    def search(self, text: str, limit: int, offset: int = 0) -> Sequence[TopicFacts]:
        """Topics whose names have every word of `text`, in order of name."""
        return self._book.search(text, limit, offset)

    def newest(self, topic: str) -> tuple[float, Value] | None:
        """The last value, and when it was due; None: there is none in its last 400 days."""
        found = self._asking.ask(lambda asker: raw_values.newest(asker, topic))
        if found is None or found[1] is None:
            found = self._newest_before(self._book.place(topic))
        if found is None:
            return None
        at, value = found
        return at, value if isinstance(value, str) and self._is_text(topic) else exact(value)

    def readings(
        self, topic: str, start: float, end: float, limit: int
    ) -> list[tuple[float, Value]]:
        """The first `limit` values of start ≤ t < end: floats, texts, integers beyond a double."""
        _check_span(start, end)
        rows = min(max(limit, _LEAST_ROWS), PAGE_ROWS)
        return list(islice(self._values(topic, (start, end), rows), limit))

    def stream(self, topic: str, start: float, end: float) -> Iterator[tuple[float, Value]]:
        """All of them, read page by page: no query is open meanwhile."""
        _check_span(start, end)
        return self._values(topic, (start, end), PAGE_ROWS)

    def series(
        self, topic: str, start: float, end: float, *, step_s: float | None, points: int = 1000
    ) -> Series:
        """The numbers of a span, at most `points` buckets.

        Without `step_s` all of the span in the shortest round steps; with it pages of such steps;
        with 0 pages of readings as they are.
        """
        _check_span(start, end)
        _check_steps(step_s, points)
        facts, place = self._book.facts(topic), self._book.place(topic)
        if facts.kind == "text":
            raise ConfigError(f"topic {facts.name}: holds texts, expected one of numbers")
        asked = series_read.Asked(place, facts, start, end, step_s, points)
        earlier = self._earlier(place)
        return self._asking.together(
            lambda asker: series_read.SeriesReader(asker, asked, earlier).read()
        )

    def energy(self, topic: str, start: float, end: float, per: Per) -> EnergyAnswer:
        """What a counter counted, or a power comes to, in each local period of the span.

        The unit of a power's is that of energy.
        """
        _check_span(start, end)
        facts, place = self._book.facts(topic), self._book.place(topic)
        energy_read.check(facts)
        try:
            spans = periods(start, end, per, zone(facts.zone))
        except ValueError as error:
            raise ConfigError(f"energy of {facts.name}: {error}") from error
        folding = self._folding(place)
        asked = energy_read.Asked(place, facts, per, spans, self._clock())

        def answer(asker: Asker) -> EnergyAnswer:
            meter = self._meter(asker, place)
            return energy_read.energy_of(asker, asked, folding, meter)

        return self._asking.together(answer)

    def gaps(
        self, name: str, start: float, end: float, limit: int, *, newest_first: bool = False
    ) -> Sequence[GapRange]:
        """The first `limit` ranges of ticks without a value, of a meter or a topic."""
        _check_span(start, end)

        meter_id = self._asking.ask(lambda asker: self._book.meter_named(asker, name))
        slot = None
        if meter_id is None:
            _, _, meter_id, slot = self._book.place(name)
        if meter_id is None:
            return []

        def answer(asker: Asker) -> Sequence[GapRange]:
            meter = self._book.meter(asker, meter_id)
            asked = gap_ranges.Asked(meter_id, slot, start, end, limit, newest_first)
            names = (meter.name, self._book.topics_of(asker, meter_id))
            return gap_ranges.gap_ranges(asker, asked, Grid(meter.schedule), names)

        return self._asking.ask(answer)

    def epochs(self, topic: str | None = None) -> Sequence[EpochRow]:
        """Where counters began anew, of one topic or of all: by topic and time."""
        place = None if topic is None else self._book.place(topic)

        def answer(asker: Asker) -> list[EpochRow]:
            if place is None:
                rows = asker.ask(_EPOCHS)
            else:
                rows = asker.ask(f"{_EPOCHS} WHERE e.topic_id = ?", place.topic_id)
            times = asker.speech.times([row[1] for row in rows])
            found = [EpochRow(row[0], at, *row[2:]) for row, at in zip(rows, times, strict=True)]
            return sorted(found, key=lambda row: (row.topic, row.at, row.source))

        return self._asking.ask(answer)

    @property
    def leaves_out_old_rows(self) -> bool:
        """Whether rows of the old collector are in no answer, as nobody has said their zone."""
        return self._old.left_out

    def _values(
        self, topic: str, span: tuple[float, float], rows: int
    ) -> Iterator[tuple[float, Value]]:
        is_text, place = self._is_text(topic), self._book.place(topic)
        start, end = span
        slot = slot_of(place)
        first = None
        if slot is not None:
            first = self._asking.ask(lambda asker: first_of(asker, slot.meter_id))
        until = end if first is None else min(first, end)
        for at, value in self._old.values(place, start, until):
            yield at, value if is_text else exact(value)
        start = max(start, until)
        while slot is not None and start < end:
            page = _Page(slot, start, end, rows, is_text)
            found, start = self._asking.ask(page.read)
            yield from found if is_text else [(at, exact(value)) for at, value in found]

    def _newest_before(self, place: StoredTopic) -> tuple[float, Value] | None:
        """Not in its meter's newest reading, or asked for by another name than its full one."""
        if (slot := slot_of(place)) is None:
            return self._old.newest(place)
        if found := self._asking.ask(lambda asker: raw_values.last(asker, slot)):
            return found
        cell = self._asking.ask(lambda asker: last_read(asker, place))
        if cell is not None:
            span = (text_of(cell), text_of(cell + CELL_S))
            values = self._asking.ask(lambda asker: values_of(asker, slot, span, texts=True))
            if values:
                return values[-1]
        return self._old.newest(place)

    def _is_text(self, topic: str) -> bool:
        return self._book.facts(topic).kind == "text"

    def _meter(self, asker: Asker, place: StoredTopic) -> MeterNow | None:
        return None if place.meter_id is None else self._book.meter(asker, place.meter_id)

    def _folding(self, place: StoredTopic) -> tuple[SlotFacts, MeterFacts] | None:
        """What making quarter hours of a topic depends on, at most a few seconds old."""
        if place.meter_id is None or place.slot is None:
            return None
        known = self._subjects.get(place.meter_id)
        if known is None or time.monotonic() >= known[0]:
            with connected(self._engine) as connection:
                facts = subject(connection, place.meter_id).facts
            if len(self._subjects) >= _MOST_METERS:
                self._subjects.clear()
            known = self._subjects[place.meter_id] = (time.monotonic() + _FRESH_S, facts)
        facts = known[1]
        return (facts.slots[place.slot], facts) if place.slot < len(facts.slots) else None

    def _earlier(self, place: StoredTopic) -> series_read.Earlier | None:
        if not self._old.there:
            return None

        def earlier(start: float, end: float, most: int) -> Points:
            return self._old.numbers(place, start, end, most)

        return earlier


class _Page(NamedTuple):
    """The values in the meter's next so many rows."""

    slot: Slot
    start: float
    end: float
    rows: int
    texts: bool

    def read(self, asker: Asker) -> tuple[list[tuple[float, Value]], float]:
        """They, and where the following ones begin."""
        low, high = text_of(self.start), text_of(self.end)
        following = instant_of(asker, self.slot.meter_id, (low, high), self.rows)
        span = (low, high if following is None else text_of(following))
        found = values_of(asker, self.slot, span, texts=self.texts)
        return found, self.end if following is None else following


def _check_span(start: float, end: float) -> None:
    if not 0 <= start < end <= END_OF_TIME:
        raise ConfigError(
            f"span {start:.15g} to {end:.15g}, expected a start before its end, from 1970 to 9998"
        )


def _check_steps(step_s: float | None, points: int) -> None:
    if not 1 <= points <= MOST_POINTS:
        raise ConfigError(f"points {points}, expected 1 to {MOST_POINTS}")
    if step_s is not None and not 0 <= step_s <= _LONGEST_S:
        raise ConfigError(f"step {step_s:g}, expected seconds, or 0 for readings as they are")
