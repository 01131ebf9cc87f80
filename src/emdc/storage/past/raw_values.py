"""Stored readings of one topic, found by the key of their meter: the exact SQL of each engine.

Numbers are the ones that were stored, to the last bit, on every engine: their digits are read here
and not by the engine, but on PostgreSQL, which stores doubles. Asked by `chronicle` and its parts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import msgspec

from emdc.numerals import MAX_EXACT_INT
from emdc.reading import Value
from emdc.storage.past.asking import SHORT, Asker
from emdc.storage.past.samples import StoredTopic
from emdc.storage.past.tokens import NULL, Points, as_number, numbers, points, values

Span: TypeAlias = tuple[str, str]
"""start ≤ ts < end, as stored."""
Sample: TypeAlias = tuple[float, Value]
"""Seconds since 1970, and the value as stored; None: there is none."""

ROWS_BACK: Final = 10_000
"""Of a meter's newest readings that are looked at for a topic's last value."""

_NEARLY: Final = 100
"""Of these, where the last value of a topic that is read more rarely nearly always is."""
_SPAN: Final = "FROM readings WHERE meter_id = ? AND ts >= ? AND ts < ?"


class Slot(NamedTuple):
    """Where a topic's values are."""

    meter_id: int
    slot: int


def slot_of(topic: StoredTopic) -> Slot | None:
    """Where a topic's values are; None: only the old collector stored some."""
    if topic.meter_id is None or topic.slot is None:
        return None
    return Slot(topic.meter_id, topic.slot)


class _Engine(Protocol):
    """One kind of engine."""

    def newest(self, asker: Asker, topic: str) -> Sample | None:
        """What its meter's newest row has of a topic, found by its full name."""

    def last(self, asker: Asker, place: Slot) -> Sample | None:
        """The topic's last value in the meter's newest rows."""

    def numbers(self, asker: Asker, place: Slot, span: Span) -> Points:
        """All numbers of a span; texts that are none are left out."""

    def values(self, asker: Asker, place: Slot, span: Span, *, texts: bool) -> list[Sample]:
        """All values of a span as they are stored; `texts`: they are no numbers."""


def newest(asker: Asker, topic: str) -> Sample | None:
    """What its meter's newest row has of a topic, found by its full name in one statement.

    None: no topic with readings is called so.
    """
    return _ENGINES[asker.speech.kind].newest(asker, topic)


def last(asker: Asker, place: Slot) -> Sample | None:
    """The topic's last value in the meter's newest rows."""
    return _ENGINES[asker.speech.kind].last(asker, place)


def numbers_of(asker: Asker, place: Slot, span: Span) -> Points:
    """All numbers of a span, in order of time."""
    return _ENGINES[asker.speech.kind].numbers(asker, place, span)


def values_of(asker: Asker, place: Slot, span: Span, *, texts: bool = False) -> list[Sample]:
    """All values of a span as stored, in order of time; `texts`: the topic has no numbers."""
    return _ENGINES[asker.speech.kind].values(asker, place, span, texts=texts)


def instant_of(asker: Asker, meter_id: int, span: Span, nth: int) -> float | None:
    """When the reading of the meter was that has so many before it in the span."""
    rows = asker.ask(
        "SELECT seconds(ts) FROM readings WHERE meter_id = ? AND ts >= ? AND ts < ?"
        " ORDER BY ts LIMIT 1 OFFSET ?",
        *(meter_id, *span, nth),
    )
    return asker.speech.times(rows[0])[0] if rows else None


def first_of(asker: Asker, meter_id: int) -> float | None:
    """When the meter's first reading was."""
    rows = asker.ask(
        "SELECT seconds(ts) FROM readings WHERE meter_id = ? ORDER BY ts LIMIT 1", meter_id
    )
    return asker.speech.times(rows[0])[0] if rows else None


class _Sqlite:
    """`->` gives the token as it was written; the number that `->>` gives would be SQLite's."""

    _NEWEST: Final = (
        "SELECT r.ts, r.vals -> t.slot FROM topics AS t JOIN readings AS r"
        " ON r.meter_id = t.meter_id WHERE t.topic_name = ? ORDER BY r.ts DESC LIMIT 1"
    )
    _LAST: Final = (
        "SELECT ts, token FROM (SELECT ts, vals -> ? AS token FROM readings"  # noqa: S608
        f" WHERE meter_id = ? ORDER BY ts DESC LIMIT {ROWS_BACK})"
        f" WHERE token <> '{NULL}' LIMIT 1"
    )

    def newest(self, asker: Asker, topic: str) -> Sample | None:
        rows = asker.rows(self._NEWEST, (topic,))
        return _sample(asker, rows[0]) if rows else None

    def last(self, asker: Asker, place: Slot) -> Sample | None:
        rows = asker.rows(self._LAST, (place.slot, place.meter_id))
        return _sample(asker, rows[0]) if rows else None

    def numbers(self, asker: Asker, place: Slot, span: Span) -> Points:
        times, tokens = self._tokens(asker, place, span)
        return points(times, numbers(tokens))

    def values(self, asker: Asker, place: Slot, span: Span, *, texts: bool) -> list[Sample]:
        return _paired(*self._tokens(asker, place, span))

    def _tokens(self, asker: Asker, place: Slot, span: Span) -> tuple[list[float], str]:
        parameters = (place.slot, place.meter_id, *span)
        times, (tokens,) = asker.columns("ts", ["vals -> ?"], _SPAN, *parameters)
        return times, tokens


class _Postgresql:
    """Numbers in `vals`, which counts from one; what is text, long integers too, in `texts`."""

    _COLUMNS: Final = "extract(epoch FROM ts)::float8, vals[%s], texts ->> %s::text"
    _SPAN: Final = (
        f"SELECT {_COLUMNS} FROM readings WHERE meter_id = %s AND ts >= %s AND ts < %s"  # noqa: S608
        " ORDER BY ts"
    )
    # LATERAL: it does not see that one name is one topic, and would sort all of the meter's rows.
    _NEWEST: Final = (
        "SELECT extract(epoch FROM r.ts)::float8, r.vals[t.slot + 1], r.texts ->> t.slot::text"
        " FROM topics AS t, LATERAL (SELECT ts, vals, texts FROM readings"
        " WHERE meter_id = t.meter_id ORDER BY ts DESC LIMIT 1) AS r WHERE t.topic_name = %s"
    )
    _LAST: Final = (
        "SELECT at, number, word FROM (SELECT ts, extract(epoch FROM ts)::float8 AS at,"  # noqa: S608
        " vals[%s] AS number, texts ->> %s::text AS word FROM readings WHERE meter_id = %s"
        f" ORDER BY ts DESC LIMIT {ROWS_BACK}) AS back"
        " WHERE number IS NOT NULL OR word IS NOT NULL ORDER BY ts DESC LIMIT 1"
    )

    def newest(self, asker: Asker, topic: str) -> Sample | None:
        return self._one(asker.rows(self._NEWEST, (topic,)))

    def last(self, asker: Asker, place: Slot) -> Sample | None:
        parameters = (place.slot + 1, str(place.slot), place.meter_id)
        return self._one(asker.rows(self._LAST, parameters))

    def numbers(self, asker: Asker, place: Slot, span: Span) -> Points:
        rows = self._rows(asker, place, span)
        if not rows:
            return Points([], [])
        times, found, texts = zip(*rows, strict=True)
        if any(texts):
            found = tuple(n if text is None else as_number(text) for _, n, text in rows)
        return points(times, found)

    def values(self, asker: Asker, place: Slot, span: Span, *, texts: bool) -> list[Sample]:
        rows = self._rows(asker, place, span)
        found = [(at, text if number is None else number) for at, number, text in rows]
        return [pair for pair in found if pair[1] is not None]

    def _rows(self, asker: Asker, place: Slot, span: Span) -> Sequence[tuple[Any, ...]]:
        return asker.rows(self._SPAN, (place.slot + 1, str(place.slot), place.meter_id, *span))

    def _one(self, rows: Sequence[tuple[Any, ...]]) -> Sample | None:
        if not rows:
            return None
        at, number, text = rows[0]
        return at, text if number is None else number


class _Mysql:
    """JSON_VALUE is the faster one and takes the quotes off a text, which may hold anything."""

    _AT: Final = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ts)"
    _NEWEST: Final = (
        f"SELECT {_AT}, JSON_EXTRACT(r.vals, CONCAT('$[', t.slot, ']')) FROM topics AS t"  # noqa: S608
        " JOIN readings AS r ON r.meter_id = t.meter_id WHERE t.topic_name = %s"
        " ORDER BY r.ts DESC LIMIT 1"
    )
    # The drivers write parameters out, as the path for MySQL's JSON_VALUE must be.
    _LAST: Final = (
        f"SELECT {_AT}, JSON_EXTRACT(vals, %s) FROM readings"  # noqa: S608 (constants only)
        " WHERE meter_id = %s AND JSON_VALUE(vals, %s) IS NOT NULL"
        " AND ts >= COALESCE((SELECT x.ts FROM readings AS x WHERE x.meter_id = %s"
        " ORDER BY x.ts DESC LIMIT 1 OFFSET %s), '1970-01-01')"
        " ORDER BY ts DESC LIMIT 1"
    )

    def newest(self, asker: Asker, topic: str) -> Sample | None:
        rows = asker.rows(self._NEWEST, (topic,))
        return _sample(asker, rows[0]) if rows else None

    def last(self, asker: Asker, place: Slot) -> Sample | None:
        path = f"$[{place.slot:d}]"
        for back in (_NEARLY, ROWS_BACK):
            parameters = (path, place.meter_id, path, place.meter_id, back - 1)
            if rows := asker.rows(self._LAST, parameters):
                return _sample(asker, rows[0])
        return None

    def numbers(self, asker: Asker, place: Slot, span: Span) -> Points:
        times, found = self._plain(asker, place, span)
        if found is None:
            times, tokens = self._tokens(asker, "JSON_EXTRACT(vals, ?)", place, span)
            found = numbers(tokens)
        return points(times, found)

    def values(self, asker: Asker, place: Slot, span: Span, *, texts: bool) -> list[Sample]:
        times, found = ([], None) if texts else self._plain(asker, place, span)
        if found is None or any(abs(value) >= MAX_EXACT_INT for value in found if value):
            return _paired(*self._tokens(asker, "JSON_EXTRACT(vals, ?)", place, span))
        return [pair for pair in zip(times, found, strict=True) if pair[1] is not None]

    def _plain(
        self, asker: Asker, place: Slot, span: Span
    ) -> tuple[list[float], list[float | None] | None]:
        """All as numbers; None: there is a text among them."""
        times, tokens = self._tokens(asker, f"LEFT(JSON_VALUE(vals, ?), {SHORT})", place, span)
        # What is so long was cut, and may begin as a number does.
        if len(tokens) >= SHORT and max(map(len, tokens.split(","))) >= SHORT:
            return times, None
        try:
            found = numbers(tokens)
        except (msgspec.DecodeError, OverflowError):
            return times, None
        return times, found if len(found) == len(times) else None

    def _tokens(self, asker: Asker, token: str, place: Slot, span: Span) -> tuple[list[float], str]:
        parameters = (f"$[{place.slot:d}]", place.meter_id, *span)
        times, (tokens,) = asker.joined("ts", [token], _SPAN, *parameters)
        return times, tokens


_ENGINES: Final[Mapping[str, _Engine]] = {
    "sqlite": _Sqlite(),
    "postgresql": _Postgresql(),
    "mysql": _Mysql(),
}


def _sample(asker: Asker, row: Sequence[Any]) -> Sample:
    return asker.speech.times(row[:1])[0], values(row[1] or NULL)[0]


def _paired(times: Sequence[float], tokens: str) -> list[Sample]:
    """Instant and value of each that has a value."""
    return [pair for pair in zip(times, values(tokens), strict=True) if pair[1] is not None]
