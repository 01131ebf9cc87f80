"""`emdc export`: stored values as CSV, in bounded memory however many there are."""

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import IO, Any, Final

from emdc.cli import wide
from emdc.cli.csvfile import HEADER, instant_cell
from emdc.cli.destination import destination
from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.moments import END, START, span
from emdc.cli.refined import repeatable
from emdc.cli.stored import counting, existing, settings_of
from emdc.cli.terminal import note
from emdc.config import Settings
from emdc.config.table import CONFIG, Setting
from emdc.csvcells import text_cell, value_cell
from emdc.errors import ConfigError
from emdc.storage.engines.sqlite import sqlite_file
from emdc.storage.old_samples import LeftOut
from emdc.storage.past.samples import Export, Tick, chosen, stored_topics

TOPIC: Final = Setting(
    "",
    "topic",
    "text",
    None,
    "Only this topic, or all that begin with it, such as UW/Mercer/nexus_meter; may be repeated",
)
# fmt: off
OWN: Final = (
    START,
    END,
    Setting("", "output", "path", None, "File to write; standard output without it"),
    Setting("", "overwrite", "switch", False, "Let --output take the place of a file"),
    wide.WIDE,
    wide.TIMEZONE,
)
# fmt: on
_AT_ONCE: Final = 5000
"""Lines that are written together."""


@repeatable(TOPIC.flag)
@takes(TOPIC, *OWN, *DATABASE, CONFIG, *LOG)
def command(**given: Any) -> int:
    """Write stored values as CSV.

    One line for each value: instant (UTC), topic, value. Ordered by meter,
    by time and by the meter's order of metrics; what is missing has no
    line. `emdc import` reads it back. With --wide a row for each instant of
    a meter, for spreadsheets.

        emdc export --db_host=emdc.db --start=2026-03-01 --end=2026-04-01
        emdc export --db_host=emdc.db --topic=UW/Mercer --output=mercer.csv
    """
    patterns: list[str] = given.pop(TOPIC.flag, None) or []
    own: dict[str, Any] = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    wanted = span(own["start"], own["end"], datetime.now(UTC))
    zone = wide.zone_of(own["timezone"])
    if own["timezone"] and not own["wide"]:
        raise ConfigError("--timezone: expected with --wide; the lines without it are in UTC")
    settings = settings_of(given)
    output: Path | None = own["output"]
    if output is not None:
        _spare_database(output, settings)
    with existing(settings) as engine:
        found = Export(engine, chosen(stored_topics(engine), patterns), wanted)
        with _opened(output, overwrite=own["overwrite"]) as file, _progress(output) as tell:
            total = 0
            form = wide.form(found, zone) if own["wide"] else (HEADER, _long(found.ticks()))
            for count, text in _lines(*form):
                file.write(text.encode("utf-8", "backslashreplace"))
                total += count
                tell(count)
        _explain(found.left)
    if output is not None:
        note(f"{total:,} {'rows' if own['wide'] else 'values'}: {output}")
    return 0


def _long(ticks: Iterator[Tick]) -> Iterator[list[Sequence[object]]]:
    """The rows of each instant, one for each value."""
    topic_cell = cache(text_cell)
    for ts, cells in ticks:
        at = instant_cell(ts)
        yield [(at, topic_cell(name), value_cell(value)) for _, name, value in cells]


def _lines(
    header: Sequence[str], groups: Iterator[list[Sequence[object]]]
) -> Iterator[tuple[int, str]]:
    """Number and text of some lines; the header is not counted."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)  # lines end as RFC 4180 wants it
    writer.writerow(header)
    rows: list[Sequence[object]] = []
    for group in groups:
        rows += group
        if len(rows) >= _AT_ONCE:
            writer.writerows(rows)
            yield len(rows), buffer.getvalue()
            rows.clear()
            buffer.seek(0)
            buffer.truncate()
    writer.writerows(rows)
    yield len(rows), buffer.getvalue()


@contextmanager
def _opened(output: Path | None, *, overwrite: bool) -> Iterator[IO[bytes]]:
    if output is not None:
        with destination(output, overwrite=overwrite) as file:
            yield file
        return
    sys.stdout.flush()
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def _progress(output: Path | None) -> Any:
    """The bar would stand between the lines where both go to a terminal."""
    return counting("values") if output or not sys.stdout.isatty() else _silent()


@contextmanager
def _silent() -> Iterator[Any]:
    yield lambda _count: None


def _spare_database(output: Path, settings: Settings) -> None:
    """Raise ConfigError when the output would take the place of the database."""
    file = sqlite_file(settings.database_url())
    if file is not None and output.resolve() in {
        file.resolve().with_name(f"{file.resolve().name}{suffix}")
        for suffix in ("", "-wal", "-shm", "-journal", "-spool")
    }:
        raise ConfigError(f"--output: {output} belongs to the database, expected another file")


def _explain(left: LeftOut) -> None:
    if left.open_zone:
        note(
            f"emdc: {left.open_zone:,} rows of the old collector are left out: the upgrade left "
            "their time zone open (--data_timezone=keep)"
        )
    if left.unreadable:
        note(f"emdc: {left.unreadable:,} rows of the old collector are left out: no time in ts")
    if left.doubled:
        note(
            f"emdc: {left.doubled:,} rows of the old collector are left out: their topic has "
            "another value at the same instant"
        )
