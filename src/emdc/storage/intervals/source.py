"""A meter's stored readings as quarter hours are made of them: numbers by slot, in order of time.

Read page by page, each in a transaction of its own, in the form that costs each engine's driver the
least: of a second-wise meter a quarter hour is 900 rows of a hundred numbers. A number is a float
whatever the engine, so that all make the same sums; an integer beyond 2^53 stays one. Texts are
None.
"""

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import Connection, Engine

from emdc.energy.cells import Row
from emdc.numerals import MAX_EXACT_INT
from emdc.reading import Value
from emdc.storage.database import connected
from emdc.storage.engines.dialect import translated
from emdc.storage.instants import (
    from_microseconds,
    from_text,
    seconds_of,
    text_of,
    to_microseconds,
    to_text,
)
from emdc.storage.old_samples import LeftOut, OldSamples

PAGE: Final = 500
"""Rows at once: some milliseconds, in which no other thread of the program runs."""

Page: TypeAlias = Callable[[Connection, int, str], list[Row]]
"""The first rows of a meter at or after an instant, at most PAGE."""

_TEXT: Final = re.compile(r'"(?:(-?[0-9]+)|[^"\\]*(?:\\.[^"\\]*)*)"')
_numbers: Final = msgspec.json.Decoder(list[list[float | None]]).decode
_with_texts: Final = msgspec.json.Decoder(list[list[float | str | None]]).decode
_by_slot: Final = msgspec.json.Decoder(dict[str, str]).decode


def readings_of(engine: Engine, meter_id: int, start: float) -> Iterator[list[Row]]:
    """Pages of the meter's rows of `readings` from `start` on. Raises StorageError."""
    page, at = _PAGES[engine.dialect.name], microseconds(start)
    while True:
        with connected(engine) as connection:
            rows = page(connection, meter_id, to_text(from_microseconds(at)))
        yield rows
        if len(rows) < PAGE:
            return
        at = microseconds(rows[-1][0]) + 1


def with_old(
    pages: Iterator[list[Row]], old: OldSamples, slots: Mapping[int, int], start: float
) -> Iterator[list[Row]]:
    """The pages with what the old collector stored of a meter, whose `slots` are by topic.

    At one instant a value of `readings` is the one that counts.
    """
    width = max(slots.values(), default=-1) + 1
    earlier = _old_rows(old, slots, width, start)
    merged = heapq.merge((row for page in pages for row in page), earlier, key=itemgetter(0))
    page: list[Row] = []
    for at, rows in groupby(merged, key=itemgetter(0)):
        page.append((at, _united([values for _, values in rows])))
        if len(page) == PAGE:
            yield page
            page = []
    yield page


def microseconds(at: float) -> int:
    """Since 1970, of an instant in seconds."""
    return round(at * 1e6)


def _old_rows(old: OldSamples, slots: Mapping[int, int], width: int, start: float) -> Iterator[Row]:
    first = text_of(start)
    for ts, values in old.ticks(list(slots), (first, ""), LeftOut()):
        row: list[Value] = [None] * width
        for topic_id, value in values.items():
            if value is not None and not isinstance(value, str):
                row[slots[topic_id]] = value if abs(value) > MAX_EXACT_INT else float(value)
        yield seconds_of(ts), row


def _united(rows: Sequence[Sequence[Value]]) -> Sequence[Value]:
    if len(rows) == 1:
        return rows[0]
    width = max(map(len, rows))
    padded = ([*row, *[None] * (width - len(row))] for row in rows)
    return [
        next((v for v in values if v is not None), None) for values in zip(*padded, strict=True)
    ]


def _sqlite_page(connection: Connection, meter_id: int, start: str) -> list[Row]:
    found = connection.exec_driver_sql(
        "SELECT ts, vals FROM readings WHERE meter_id = ? AND ts >= ? ORDER BY ts LIMIT ?",
        (meter_id, start, PAGE),
    ).all()
    instants = [seconds_of(ts) for ts, _ in found]
    return list(zip(instants, _decoded([vals for _, vals in found]), strict=True))


def _mysql_page(connection: Connection, meter_id: int, start: str) -> list[Row]:
    found = connection.exec_driver_sql(
        "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ts), vals FROM readings"
        " WHERE meter_id = %s AND ts >= %s ORDER BY ts LIMIT %s",
        (meter_id, start, PAGE),
    ).all()
    instants = [at / 1e6 for at, _ in found]
    return list(zip(instants, _decoded([vals for _, vals in found]), strict=True))


def _postgresql_page(connection: Connection, meter_id: int, start: str) -> list[Row]:
    driver: Any = connection.connection
    # As text the driver takes five times as long.
    with translated(connection), driver.cursor(binary=True) as cursor:
        found = cursor.execute(
            "SELECT ts, vals, texts::text FROM readings"
            " WHERE meter_id = %s AND ts >= %s ORDER BY ts LIMIT %s",
            (meter_id, from_text(start), PAGE),
        ).fetchall()
    return [
        (to_microseconds(ts) / 1e6, _filled(vals, texts) if texts else vals)
        for ts, vals, texts in found
    ]


_PAGES: Final[Mapping[str, Page]] = {
    "sqlite": _sqlite_page,
    "postgresql": _postgresql_page,
    "mysql": _mysql_page,
    "mariadb": _mysql_page,
}


def _decoded(rows: Sequence[str]) -> Sequence[list[Any]]:
    """JSON arrays of values; all of them at once, as a call for each would cost more."""
    text = f"[{','.join(rows)}]"
    if '"' not in text:
        return _numbers(text)
    long: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] is None:
            return "null"
        long.append(found[1])
        return found[0]

    text = _TEXT.sub(number, text)
    if not long:
        return _numbers(text)
    return [[int(v) if type(v) is str else v for v in row] for row in _with_texts(text)]


def _filled(vals: list[Value], texts: str) -> list[Value]:
    """Numbers with the long integers that are kept as text beside them."""
    for slot, value in _long(texts).items():
        vals[slot] = value
    return vals


@lru_cache(maxsize=256)
def _long(texts: str) -> Mapping[int, int]:
    """Long integers by slot; texts such as a serial number are the same in every row."""
    found = _by_slot(texts)
    return {int(slot): int(v) for slot, v in found.items() if re.fullmatch("-?[0-9]+", v)}
