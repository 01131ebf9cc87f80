"""`emdc gaps`: where values are missing, and why."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from emdc.cli import past
from emdc.cli.figures import NOTHING
from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.past import CSV, JSON, Past
from emdc.cli.reasons import in_words
from emdc.cli.refined import takes_minus
from emdc.cli.spans import END, column, iso, span_of, start_flag
from emdc.cli.stored import meters_named
from emdc.cli.terminal import note, print_table, say
from emdc.config.table import CONFIG, Setting
from emdc.energy.answers import GapRange
from emdc.energy.spans import a_week_before
from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.past.topics import UTC
from emdc.web.meant import topics_of

METER: Final = Setting("", "meter", "text", None, "Only this meter, by its name")
TOPIC: Final = Setting("", "topic", "text", None, "Only this topic")
START: Final = start_flag("default seven days before the end")
OWN: Final = (METER, TOPIC, START, END, JSON, CSV)

MOST_ROWS: Final = 500
"""Ranges of one meter in a table; the newest ones."""
MOST: Final = 100_000
"""Of one meter, for programs."""

_ALL: Final = "all"
_CSV: Final = GapRange._fields


@takes_minus(START.flag, END.flag)
@takes(*OWN, *DATABASE, CONFIG, *LOG)
def command(**given: Any) -> int:
    """Print where values are missing, and why.

    Ticks that follow one another with one reason are one line. Without
    --meter and --topic of all meters. Reads only, and may run beside the
    collector.

        emdc gaps --db_host=emdc.db
        emdc gaps --meter=UW/Mercer/nexus_meter --start=yesterday --db_host=emdc.db
    """
    own: dict[str, Any] = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    if own["meter"] and own["topic"]:
        raise ConfigError("--meter and --topic: expected one of them, or none for all meters")
    form = past.form_of(own)
    with past.opened(given) as stored:
        found = list(_found(stored, own, MOST_ROWS if form == "table" else MOST))
    if form == "json":
        past.print_json([_described(one, zone) for one, zone in found])
    elif form == "csv":
        past.print_csv([_CSV, *(tuple(_described(one, zone).values()) for one, zone in found)])
    else:
        _print(found)
    return 0


def _found(stored: Past, own: dict[str, Any], most: int) -> Iterator[tuple[GapRange, ZoneInfo]]:
    """The newest ranges of each meter in order of time, and its zone."""
    for name, zone in _subjects(stored, own):
        span = span_of(own["start"], own["end"], zone=zone, now=stored.now, earlier=a_week_before)
        ranges = stored.chronicle.gaps(name, *span, most + 1, newest_first=True)
        if len(ranges) > most:
            note(f"emdc: {name}: only the last {most:,} gaps; a shorter span shows the others")
        for one in reversed(ranges[:most]):
            yield one, zone


def _subjects(stored: Past, own: dict[str, Any]) -> list[tuple[str, ZoneInfo]]:
    """What gaps are wanted of. Raises ConfigError."""
    if own["topic"]:
        topic = past.topic_of(stored.chronicle, own["topic"])
        return [(topic.name, past.zone_of(topic))]
    names = meters_named(stored.engine, own["meter"])
    return [(name, _zone(stored, name)) for name in names]


def _zone(stored: Past, meter: str) -> ZoneInfo:
    topics = topics_of(stored.chronicle, meter)
    return past.zone_of(topics[0]) if topics else ZoneInfo(UTC)


def _described(one: GapRange, zone: ZoneInfo) -> dict[str, Value]:
    """The fields of an entry of `GET /gaps`."""
    return {
        "meter": one.meter,
        "metric": one.metric,
        "start": iso(one.start, zone),
        "end": iso(one.end, zone),
        "ticks": one.ticks,
        "reason": one.reason,
    }


def _print(found: Sequence[tuple[GapRange, ZoneInfo]]) -> None:
    if not found:
        say("nothing is missing")
        return
    zones = {zone.key: zone for _, zone in found}
    if len(zones) == 1:
        (zone,) = zones.values()
        starts = column([one.start for one, _ in found], zone)
        ends = column([one.end for one, _ in found], zone)
    else:
        starts = [iso(one.start, zone) for one, zone in found]
        ends = [iso(one.end, zone) for one, zone in found]
    rows = [
        (
            one.meter,
            one.metric or _ALL,
            start,
            end,
            NOTHING if one.ticks is None else f"{one.ticks:,}",
            in_words(one.reason),
        )
        for (one, _), start, end in zip(found, starts, ends, strict=True)
    ]
    columns = ("meter", "metric", "from", "to", ">ticks", "reason")
    where = f", {next(iter(zones))}" if len(zones) == 1 else ""
    print_table(f"Missing values{where}", columns, rows)
