"""GET /history: what a topic was, as readings or in steps, as JSON or CSV.

The work is one question on a thread: names, times, rows and their JSON all come from there, so that
the event loop, which reads meters, only passes bytes on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice, repeat
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response

from emdc.csvcells import text_cell, value_cell
from emdc.energy.answers import CELL_S, Bucket, Series, Source, TopicFacts
from emdc.energy.spans import Span
from emdc.reading import Value
from emdc.web.csvanswer import Rows, csv_answer, is_csv
from emdc.web.exchange import Ask, Parameter, bytes_response, refuse
from emdc.web.past import History, topic_asked
from emdc.web.service import Service
from emdc.web.spans import instants, iso, isos, span_of, step_of, utc

PATH: Final = "/history"
MOST_ROWS: Final = 10_000
MOST_STEPS: Final = 40_000_000
"""Of one span: a year of seconds. Pages of steps in which nothing was read cost time too."""
COLUMNS: Final = Bucket._fields
READING: Final = ("ts", "value")

_LINES_AT_ONCE: Final = 5000
_PARTS_AT_ONCE: Final = 200_000
"""Readings, or quarter hours, of which one page of steps is made: a second of work, and 50 MB."""

STEP: Final = Parameter(
    "step",
    "length of a row: seconds, 30s, 15min, 1h, 1d; 0: the readings themselves. Default: the "
    "shortest round one with which the span has no more rows than points",
)
POINTS: Final = Parameter("points", "most rows without a step", "whole", 1000, 1, MOST_ROWS)
LIMIT: Final = Parameter(
    "limit", "most rows of one answer with a step", "whole", MOST_ROWS, 1, MOST_ROWS
)


class HistoryAnswer(msgspec.Struct, kw_only=True):
    """A topic over a span."""

    topic: str
    unit: str
    zone: str
    """IANA name of the meter's time zone."""
    start: datetime
    end: datetime
    """The span is start ≤ t < end, UTC."""
    step_s: float
    """Seconds of one row; 0: each row is one reading."""
    source: str
    """What the rows are made of: readings, details (half minutes) or intervals (quarter hours)."""
    columns: Sequence[str]
    """What stands in a row."""
    rows: Sequence[Sequence[Value]]
    """In order of time, which is a text; a step in which nothing was read has no row."""
    next: str | None
    """The address of the next page; null: this was all."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one request means."""

    topic: TopicFacts
    span: Span
    step_s: float | None
    points: int
    limit: int

    def next(self, start: float | None) -> str | None:
        """The address of the page that begins at an instant."""
        if start is None:
            return None
        step = f"{self.step_s or 0:.0f}"
        times = {"start": iso(start), "end": iso(self.span.end), "step": step}
        query = {"topic": self.topic.name, **times, "limit": self.limit}
        return f"{PATH}?{urlencode(query, safe='/:')}"


async def history(service: Service, ask: Ask) -> Response[bytes]:
    """What a topic was over a span, as its readings or in steps, as JSON or CSV.

    A row of a step has the count of its readings, their least, greatest and mean value, the first
    and the last one. Without a step the server chooses one by the length of the span.
    """
    now = service.clock().timestamp()
    if not is_csv(ask):
        return bytes_response(await service.past.ask(partial(_answer, ask.given, now)))
    wanted = await service.past.ask(partial(_wanted, ask.given, now))
    header, pages = _table(wanted)
    return await csv_answer(service.past, header, pages, name=wanted.topic.name, bare=ask.bare)


def _wanted(given: Mapping[str, Any], now: float, history: History) -> _Wanted:
    topic = topic_asked(history, given["topic"])
    span = span_of(given, ZoneInfo(topic.zone), now=now)
    step_s = step_of(given["step"])
    if topic.kind == "text":
        if step_s:
            raise refuse(400, f"step={given['step']}: {topic.name} holds texts, expected step=0")
        step_s = 0.0
    steps = (span.end - span.start) / step_s if step_s else 0
    if steps > MOST_STEPS:
        raise refuse(
            400,
            f"step={given['step']}: {steps:,.0f} steps, expected at most {MOST_STEPS:,}: take a "
            "longer step or a shorter span",
        )
    return _Wanted(topic, span, step_s, given["points"], given["limit"])


def _answer(given: Mapping[str, Any], now: float, history: History) -> bytes:
    wanted = _wanted(given, now, history)
    topic = wanted.topic
    page = _readings(wanted, history) if wanted.step_s == 0 else _steps(wanted, history)
    return msgspec.json.encode(
        HistoryAnswer(
            topic=topic.name,
            unit=topic.unit,
            zone=topic.zone,
            start=utc(wanted.span.start),
            end=utc(wanted.span.end),
            step_s=page.step_s,
            source=page.source,
            columns=page.columns,
            rows=page.rows,
            next=wanted.next(page.next_start),
        )
    )


class _Page(NamedTuple):
    """Rows of one answer."""

    step_s: float
    source: Source
    columns: Sequence[str]
    rows: Sequence[Any]
    next_start: float | None


def _readings(wanted: _Wanted, history: History) -> _Page:
    limit = wanted.limit
    found = history.readings(wanted.topic.name, *wanted.span, limit + 1)
    following = found[limit][0] if len(found) > limit else None
    found = found[:limit]
    times = instants(sample[0] for sample in found)
    rows = [(at, sample[1]) for at, sample in zip(times, found, strict=True)]
    return _Page(0.0, "readings", READING, rows, following)


def _steps(wanted: _Wanted, history: History) -> _Page:
    series = _series(wanted, history, wanted.span.start)
    times = instants(bucket[0] for bucket in series.buckets)
    rows = [(at, *bucket[1:]) for at, bucket in zip(times, series.buckets, strict=True)]
    return _Page(series.step_s, series.source, COLUMNS, rows, series.next_start)


def _series(wanted: _Wanted, history: History, start: float) -> Series:
    step_s, most = wanted.step_s, wanted.points
    if step_s is not None:
        most = min(
            wanted.limit, max(1, int(_PARTS_AT_ONCE * _part_s(wanted.topic, step_s) / step_s))
        )
    return history.series(wanted.topic.name, start, wanted.span.end, step_s=step_s, points=most)


def _part_s(topic: TopicFacts, step_s: float) -> float:
    """Seconds between what a step is made of, about."""
    return CELL_S if step_s % CELL_S == 0 else topic.interval_s or 1.0


def _table(wanted: _Wanted) -> tuple[Sequence[str], Callable[[History], Iterator[Rows]]]:
    """The columns of a CSV answer and its pages."""
    if wanted.step_s == 0:
        return ("ts", "topic", "value"), partial(_reading_lines, wanted)
    return COLUMNS, partial(_step_lines, wanted)


def _reading_lines(wanted: _Wanted, history: History) -> Iterator[Rows]:
    """As `emdc export` writes them."""
    name = text_cell(wanted.topic.name)
    samples = history.stream(wanted.topic.name, *wanted.span)
    while page := list(islice(samples, _LINES_AT_ONCE)):
        times, values = zip(*page, strict=True)
        yield list(zip(isos(times), repeat(name), map(value_cell, values), strict=False))


def _step_lines(wanted: _Wanted, history: History) -> Iterator[Rows]:
    start: float | None = wanted.span.start
    while start is not None:
        series = _series(wanted, history, start)
        if series.buckets:
            times = isos(bucket[0] for bucket in series.buckets)
            yield [(at, *bucket[1:]) for at, bucket in zip(times, series.buckets, strict=True)]
        start = series.next_start
