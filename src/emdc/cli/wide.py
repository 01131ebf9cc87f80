"""The wide form of an export: a row for each meter and instant, a column for each metric.

For people with a spreadsheet; `emdc import` reads the long form. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from emdc.config.table import Setting
from emdc.csvcells import text_cell, value_cell
from emdc.errors import ConfigError
from emdc.storage.instants import from_text
from emdc.storage.past.samples import Export, StoredTopic, Tick

Rows: TypeAlias = list[Sequence[object]]

WIDE: Final = Setting("", "wide", "switch", False, "A row for each instant, a column each metric")
TIMEZONE: Final = Setting(
    "", "timezone", "text", None, "Zone of the clock in the rows of --wide, by default UTC"
)


def zone_of(name: object) -> tzinfo:
    """The zone of that name, UTC for None. Raises ConfigError."""
    try:
        return UTC if name is None else ZoneInfo(str(name))
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"--timezone: {name!r}, expected a zone such as America/Los_Angeles or UTC"
        ) from error


def form(found: Export, zone: tzinfo) -> tuple[tuple[str, ...], Iterator[Rows]]:
    """Names of the columns, the first of which says which clock it is, and the rows."""
    topics = found.in_order()
    metrics = dict.fromkeys(_metric(topic) for topic in topics)
    column = {metric: number for number, metric in enumerate(metrics)}
    places = {topic.name: (topic.meter, column[_metric(topic)]) for topic in topics}
    header = (f"ts {zone}", "meter", *map(text_cell, metrics))
    return header, _rows(found.ticks(), places, zone)


def _metric(topic: StoredTopic) -> str:
    return topic.name.rpartition("/")[2]


def _rows(
    ticks: Iterator[Tick], places: Mapping[str, tuple[str, int]], zone: tzinfo
) -> Iterator[Rows]:
    """The row of each instant; what is missing, and what a meter has not, is empty.

    `places`: of each topic its meter and its column. All times have one form, with milliseconds:
    spreadsheet programs show no more.
    """
    width = 1 + max((number for _, number in places.values()), default=0)
    for ts, cells in ticks:
        at = from_text(ts).astimezone(zone).replace(tzinfo=None)
        values: list[object] = [None] * width
        for _, name, value in cells:
            values[places[name][1]] = value_cell(value)
        yield [(at.isoformat(" ", "milliseconds"), text_cell(places[cells[0][1]][0]), *values)]
