"""Topics of the database by name: where their values are, and what is said of them.

A topic never changes its place, so that is asked once; unit, zone and interval are asked again
after a few seconds. No list of all names is kept: there may be a hundred thousand.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from emdc.energy.answers import TopicFacts
from emdc.errors import ConfigError
from emdc.storage.intervals.facts import json_object
from emdc.storage.past.asking import Asker, Asking
from emdc.storage.past.samples import StoredTopic

UTC: Final = "UTC"
ZONE_SETTING: Final = "timezone"
"""Of a meter's settings in the database."""
MOST_KEPT: Final = 20_000
"""Topics whose place is remembered."""

_FRESH_S: Final = 5.0
_NEAR: Final = 2000
"""Names that are compared with one that is not there."""
_NO_ZONES: Final[Mapping[str, str]] = MappingProxyType({})
_OF: Final = "SELECT t.topic_name, t.topic_id, t.meter_id, t.slot, m.metadata FROM"
_META: Final = "AS t LEFT JOIN meta AS m ON m.topic_id = t.topic_id"
_TOPIC: Final = f"{_OF} topics {_META}"
_ORDER: Final = {"postgresql": 'ORDER BY t.topic_name COLLATE "C"'}
_NAME_ORDER: Final = "ORDER BY t.topic_name"
_SCHEDULES: Final = (
    "SELECT seconds(from_ts), interval_s, slots FROM schedules WHERE meter_id = ? ORDER BY from_ts"
)
_SETTINGS: Final = (
    "SELECT settings FROM meter_settings WHERE meter_id = ? ORDER BY from_ts DESC LIMIT 1"
)

_slots: Final = msgspec.json.Decoder(frozenset[int])


class UnknownTopicError(ConfigError, LookupError):
    """No topic has this name, or several do; the text has the nearest ones."""


class Scheduled(NamedTuple):
    """One row of `schedules`: in force until the next one of its interval."""

    start: float
    interval_s: float
    slots: frozenset[int]


class MeterNow(NamedTuple):
    """What is said of a meter."""

    name: str
    zone: str
    schedule: tuple[Scheduled, ...]
    """In order of time."""

    def interval_of(self, slot: int) -> float | None:
        """Seconds between readings of a slot by the schedule in force; None: only when asked."""
        in_force = {row.interval_s: row.slots for row in self.schedule}
        return min(
            (interval for interval, slots in in_force.items() if slot in slots), default=None
        )


class _Found(NamedTuple):
    """A topic as it is in the tables."""

    place: StoredTopic
    said: Mapping[str, Any]
    """In `meta`."""


def _found(row: Sequence[Any]) -> _Found:
    return _Found(StoredTopic(*row[:4]), json_object(row[4]))


class TopicBook:
    """The topics of one database, for any thread. `clock` gives seconds.

    `zones` are those of configured meters, by name; others have the one of their settings in the
    database, or `zone`.
    """

    def __init__(
        self,
        asking: Asking,
        clock: Callable[[], float],
        *,
        zones: Mapping[str, str] = _NO_ZONES,
        zone: str = UTC,
    ) -> None:
        self._asking = asking
        self._clock = clock
        self._zones = zones
        self._zone = zone
        self._places: dict[str, StoredTopic] = {}
        self._facts: dict[str, tuple[float, TopicFacts]] = {}
        self._meters: dict[int, tuple[float, MeterNow]] = {}

    def place(self, name: str) -> StoredTopic:
        """Where a topic's values are; the name of a metric will do while one meter has it.

        Raises UnknownTopicError with the nearest names.
        """
        found = self._places.get(name)
        if found is None:
            found = self._asking.ask(lambda asker: self._seek(asker, name)).place
        return found

    def facts(self, name: str) -> TopicFacts:
        """What is said of a topic, at most a few seconds old."""
        known = self._facts.get(name)
        if known is not None and self._clock() < known[0]:
            return known[1]
        facts = self._asking.ask(lambda asker: self._described(asker, self._seek(asker, name)))
        if len(self._facts) >= MOST_KEPT:
            self._facts.clear()
        self._facts[name] = (self._clock() + _FRESH_S, facts)
        return facts

    def meter(self, asker: Asker, meter_id: int) -> MeterNow:
        """What is said of a meter, at most a few seconds old."""
        known = self._meters.get(meter_id)
        if known is not None and self._clock() < known[0]:
            return known[1]
        found = self._meter(asker, meter_id)
        if len(self._meters) >= MOST_KEPT:
            self._meters.clear()
        self._meters[meter_id] = (self._clock() + _FRESH_S, found)
        return found

    def search(self, text: str, limit: int, offset: int = 0) -> Sequence[TopicFacts]:
        """Topics whose names have every word of `text`, whatever their case, in order of name."""

        def found(asker: Asker) -> list[TopicFacts]:
            words = text.split()
            has = "AND (lower(topic_name) LIKE ? ESCAPE '!' OR topic_name LIKE ? ESCAPE '!')"
            order = _ORDER.get(asker.speech.kind, _NAME_ORDER)
            some = f"SELECT * FROM topics AS t WHERE 1 = 1 {has * len(words)} {order}"  # noqa: S608
            patterns = [f"%{_literal(form)}%" for word in words for form in (word.lower(), word)]
            # Those of the page first: `meta` is not looked at for all that fit.
            sql = f"{_OF} ({some} LIMIT ? OFFSET ?) {_META} {order}"
            rows = asker.ask(sql, *patterns, limit, offset)
            return [self._described(asker, _found(row)) for row in rows]

        return self._asking.ask(found)

    def topics_of(self, asker: Asker, meter_id: int) -> dict[int, str]:
        """Names of a meter's metrics, by slot."""
        name = self.meter(asker, meter_id).name
        rows = asker.ask("SELECT slot, topic_name FROM topics WHERE meter_id = ?", meter_id)
        return {slot: topic.removeprefix(f"{name}/") for slot, topic in rows}

    def meter_named(self, asker: Asker, name: str) -> int | None:
        """The number of a meter."""
        rows = asker.ask("SELECT meter_id FROM meters WHERE name = ?", name)
        return rows[0][0] if rows else None

    def _seek(self, asker: Asker, name: str) -> _Found:
        rows = asker.ask(f"{_TOPIC} WHERE t.topic_name = ?", name)
        if not rows:
            return self._alone(asker, name)
        found = _found(rows[0])
        # One of the old collector's may still get a slot.
        if found.place.slot is not None:
            if len(self._places) >= MOST_KEPT:
                self._places.clear()
            self._places[name] = found.place
        return found

    def _alone(self, asker: Asker, name: str) -> _Found:
        """The only topic whose last part is `name`."""
        ends = f"%/{_literal(name)}"
        rows = asker.ask(f"{_TOPIC} WHERE t.topic_name LIKE ? ESCAPE '!' LIMIT ?", ends, _NEAR)
        if len(rows) == 1:
            return _found(rows[0])
        if rows:
            some = ", ".join(sorted(row[0] for row in rows)[:3])
            raise UnknownTopicError(
                f"topic {name!r}: several end so, expected one in full such as {some}"
            )
        raise UnknownTopicError(f"no topic is called {name!r}{self._near(asker, name)}")

    def _near(self, asker: Asker, name: str) -> str:
        prefix, slash, last = name.rpartition("/")
        pool = []
        for pattern in (f"{_literal(prefix)}{slash}%", f"%/{_literal(last)}", "%"):
            sql = "SELECT topic_name FROM topics WHERE topic_name LIKE ? ESCAPE '!' LIMIT ?"
            pool += [row[0] for row in asker.ask(sql, pattern, _NEAR)]
            near = difflib.get_close_matches(name, dict.fromkeys(pool), n=3, cutoff=0.5)
            if near:
                return f", did you mean {' or '.join(near)}"
        return f", expected for example {min(pool)}" if pool else ": the database has no topics"

    def _described(self, asker: Asker, found: _Found) -> TopicFacts:
        place, said = found
        unit, kind = str(said.get("units") or ""), said.get("kind")
        if kind is None:
            kind = "text" if said.get("type") == "string" else "gauge"
        if place.meter_id is None or place.slot is None:
            zone = self._zones.get(place.meter, self._zone)
            return TopicFacts(place.name, unit, str(kind), zone, None)
        meter = self.meter(asker, place.meter_id)
        return TopicFacts(place.name, unit, str(kind), meter.zone, meter.interval_of(place.slot))

    def _meter(self, asker: Asker, meter_id: int) -> MeterNow:
        names = asker.ask("SELECT name FROM meters WHERE meter_id = ?", meter_id)
        name = str(names[0][0]) if names else ""
        rows = asker.ask(_SCHEDULES, meter_id)
        starts = asker.speech.times([row[0] for row in rows])
        schedule = tuple(
            Scheduled(start, float(interval_s), _slots.decode(slots))
            for start, (_, interval_s, slots) in zip(starts, rows, strict=True)
        )
        return MeterNow(name, self._zone_of(asker, meter_id, name), schedule)

    def _zone_of(self, asker: Asker, meter_id: int, name: str) -> str:
        if (zone := self._zones.get(name)) is not None:
            return zone
        rows = asker.ask(_SETTINGS, meter_id)
        return str((json_object(rows[0][0]) if rows else {}).get(ZONE_SETTING) or self._zone)


def _literal(text: str) -> str:
    """For LIKE with `!` before what is no wildcard."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
