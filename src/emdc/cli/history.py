"""`emdc history`: what a topic was over a span, as readings or in steps."""

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from emdc.cli import past, plots
from emdc.cli.figures import DIGITS, grouped
from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.past import CSV, JSON, PLOT, Form, Past
from emdc.cli.refined import takes_minus
from emdc.cli.spans import END, column, iso, span_of, start_flag, step_of
from emdc.cli.terminal import print_table, say
from emdc.config.table import CONFIG, Setting
from emdc.energy.answers import Bucket, Series, TopicFacts
from emdc.energy.spans import Span, a_day_before
from emdc.errors import ConfigError
from emdc.reading import Value

TOPIC: Final = Setting(
    "", "topic", "text", None, "Name of a topic, or of a metric that one meter only has"
)
START: Final = start_flag("default a day before the end")
STEP: Final = Setting(
    "",
    "step",
    "text",
    None,
    "How long a row is: 60, 30s, 15min, 1h, 1d, or 0 for the readings themselves; by default the "
    "shortest round one with at most --points rows",
)
POINTS: Final = Setting(
    "",
    "points",
    "whole",
    None,
    "Most rows without --step; by default 48 in a table, as many as the screen shows with --plot, "
    "else 1000",
    1,
    100_000,
)
OWN: Final = (TOPIC, START, END, STEP, POINTS, JSON, CSV, PLOT)

MOST_ROWS: Final = 10_000
"""Of a table: nobody reads on."""
MOST_POINTS: Final = 100_000
"""Of a plot."""

_PAGE: Final = 10_000
_POINTS: Final[dict[Form, int]] = {"table": 48, "json": 1000, "csv": 1000}
_IN_TABLE: Final = ("count", "minimum", "mean", "maximum", "first", "last")
_DIGITS: Final = {"mean": 7}
_READING: Final = ("ts", "value")


class Sample(NamedTuple):
    """A reading."""

    start: float
    value: Value


@dataclass(frozen=True, slots=True)
class Found:
    """What a topic was: all rows have one form."""

    topic: TopicFacts
    span: Span
    step_s: float
    """0: each row is a reading."""
    source: str
    rows: Iterator[Any]
    """Of Bucket, or of Sample; read as they are asked for."""
    are_readings: bool
    """Rows are of Sample."""


@takes_minus(START.flag, END.flag)
@takes(*OWN, *DATABASE, CONFIG, *LOG)
def command(**given: Any) -> int:
    """Print what a topic was over time.

    As its readings, or in steps with their count, least, mean and greatest
    value, the first and the last one. Where nothing was read there is no
    row. Reads only, and may run beside the collector.

        emdc history --topic=UW/Mercer/nexus_meter/W --db_host=emdc.db
        emdc history --topic=UW/Mercer/nexus_meter/W --start=-7d --plot
        emdc history --topic=UW/Mercer/nexus_meter/W --start=2026-03-01 --step=0 --csv
    """
    own: dict[str, Any] = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    form = past.form_of(own)
    if form == "plot":
        plots.require()
    with past.opened(given) as stored:
        found = _found(stored, own, form)
        _PRINT[form](found)
    return 0


def _found(stored: Past, own: dict[str, Any], form: Form) -> Found:
    topic = past.topic_of(stored.chronicle, own["topic"])
    zone = past.zone_of(topic)
    span = span_of(own["start"], own["end"], zone=zone, now=stored.now, earlier=a_day_before)
    step = step_of(own["step"])
    if step is not None and own["points"] is not None:
        raise ConfigError("--points: expected without --step, which says how many rows there are")
    if topic.kind == "text":
        if step or form == "plot":
            raise ConfigError(
                f"--topic: {topic.name} holds texts, expected a topic of numbers, or --step=0"
                " without --plot"
            )
        step = 0.0
    if step == 0 and form != "plot":
        samples = (Sample(*one) for one in stored.chronicle.stream(topic.name, *span))
        return Found(topic, span, 0.0, "readings", samples, are_readings=True)
    points = _PAGE if step is not None else own["points"] or _points(form)
    first = stored.chronicle.series(topic.name, *span, step_s=step, points=points)
    buckets = _buckets(stored, first)
    if first.step_s == 0 and form != "plot":
        samples = (Sample(one.start, one.last) for one in buckets)
        return Found(topic, span, 0.0, first.source, samples, are_readings=True)
    return Found(topic, span, first.step_s, first.source, buckets, are_readings=False)


def _points(form: Form) -> int:
    if form == "plot":
        return plots.dots()
    return _POINTS[form]


def _buckets(stored: Past, series: Series) -> Iterator[Bucket]:
    """The buckets of a page and of those that follow."""
    name, end, step = series.topic.name, series.end, series.step_s
    while True:
        yield from series.buckets
        if series.next_start is None:
            return
        series = stored.chronicle.series(name, series.next_start, end, step_s=step, points=_PAGE)


def _print_table(found: Found) -> None:
    rows: list[Any] = list(islice(found.rows, MOST_ROWS + 1))
    if len(rows) > MOST_ROWS:
        raise ConfigError(
            f"more than {MOST_ROWS:,} rows, expected fewer in a table: take a shorter span, a"
            " longer --step, or --csv"
        )
    topic = found.topic
    title = f"{topic.name}{f', {topic.unit}' if topic.unit else ''}, {topic.zone}"
    if found.step_s:
        title += f", steps of {_lasting(found.step_s)} from {found.source}"
    if not rows:
        say(f"{title}: nothing was read from {_said(found)}")
        return
    times = column([row.start for row in rows], past.zone_of(topic))
    names = ("value",) if found.are_readings else _IN_TABLE
    columns = [
        grouped([getattr(row, name) for row in rows], _DIGITS.get(name, DIGITS)) for name in names
    ]
    lines = list(_broken(found, rows, list(zip(times, *columns, strict=True))))
    aligned = [name if topic.kind == "text" else f">{name}" for name in names]
    print_table(title, ("time", *aligned), lines, spare=(">first", ">last", ">count"))


def _said(found: Found) -> str:
    zone = past.zone_of(found.topic)
    return f"{iso(found.span.start, zone)} to {iso(found.span.end, zone)}"


def _lasting(step_s: float) -> str:
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60)):
        if step_s % seconds == 0:
            return f"{step_s / seconds:.0f} {unit}"
    return f"{step_s:.0f} s"


def _print_json(found: Found) -> None:
    """The fields of `GET /history` without `next`; rows are written as they are read."""
    topic, zone = found.topic, past.zone_of(found.topic)
    head = {
        "topic": topic.name,
        "unit": topic.unit,
        "zone": topic.zone,
        "start": iso(found.span.start, zone),
        "end": iso(found.span.end, zone),
        "step_s": found.step_s,
        "source": found.source,
        "columns": _READING if found.are_readings else Bucket._fields,
    }
    write = sys.stdout.write
    write(msgspec.json.encode(head).decode()[:-1] + ',"rows":[')
    comma = ""
    for page in _pages(found):
        write(comma + msgspec.json.encode(page).decode()[1:-1])
        comma = ","
    write("]}\n")


def _print_csv(found: Found) -> None:
    """Readings as `emdc export` has them, steps as `GET /history`."""
    if not found.are_readings:
        past.print_csv([Bucket._fields])
        for page in _pages(found):
            past.print_csv(page)
        return
    name = found.topic.name
    past.print_csv([("ts", "topic", "value")])
    for page in _pages(found):
        past.print_csv([(at, name, value) for at, value in page])


def _pages(found: Found) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows, some at once, with their times as text."""
    zone = past.zone_of(found.topic)
    while page := list(islice(found.rows, _PAGE)):
        yield [(iso(row[0], zone), *row[1:]) for row in page]


def _print_plot(found: Found) -> None:
    rows: list[Any] = list(islice(found.rows, MOST_POINTS + 1))
    if len(rows) > MOST_POINTS:
        raise ConfigError(
            f"more than {MOST_POINTS:,} points, expected fewer in a plot: leave --step out, or take"
            " a longer one"
        )
    topic = found.topic
    say(f"{topic.name}, {topic.unit}, {topic.zone}")
    if not rows:
        say(f"nothing was read from {_said(found)}")
        return
    pieces = [plots.Line(*zip(*piece, strict=True)) for piece in pieces_of(found, rows)]
    print(plots.lines(pieces, *found.span, past.zone_of(topic)), flush=True)


def pieces_of(found: Found, rows: Sequence[Bucket]) -> Iterator[list[tuple[float, float]]]:
    """The line through the buckets, in pieces that are broken where nothing was read.

    Of a counter the last value of a step, else its mean, each in the middle of its step.
    """
    is_counter, apart = found.topic.kind == "counter", apart_s(found)
    piece: list[tuple[float, float]] = []
    for row in rows:
        at = row.start + found.step_s / 2
        if piece and at - piece[-1][0] > apart:
            yield piece
            piece = []
        piece.append((at, row.last if is_counter else row.mean))
    yield piece


def apart_s(found: Found) -> float:
    """Rows that begin further apart than that have a hole between them, as on the page."""
    step, interval = found.step_s, found.topic.interval_s
    if step:
        return max(1.5 * step, step + 1.5 * (interval or 0.0))
    return 3.5 * interval if interval else math.inf


def _broken(
    found: Found, rows: Sequence[Bucket | Sample], lines: Sequence[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """The lines of a table, with one more where nothing was read."""
    apart, before = apart_s(found), math.inf
    for row, line in zip(rows, lines, strict=True):
        if row.start - before > apart:
            yield ("…", *[""] * (len(line) - 1))
        before = row.start
        yield line


_PRINT: Final[dict[Form, Callable[[Found], None]]] = {
    "table": _print_table,
    "json": _print_json,
    "csv": _print_csv,
    "plot": _print_plot,
}
