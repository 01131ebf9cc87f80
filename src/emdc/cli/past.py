"""What the commands on history share: which database and topics, and the form of what they print.

They read only, beside a collector or without one. A table is for people; JSON and CSV are for
programs, in the fields of the answers of HTTP, and their times have the offset of the meter's zone.
"""

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from time import time
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from emdc.cli.stored import existing, settings_of
from emdc.config import Settings
from emdc.config.table import Setting
from emdc.csvcells import value_cell
from emdc.energy.answers import TopicFacts
from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.database import Database
from emdc.storage.past.chronicle import Chronicle
from emdc.stores import open_chronicle
from emdc.web import meant

JSON: Final = Setting("", "json", "switch", False, "Print JSON instead of a table")
CSV: Final = Setting("", "csv", "switch", False, "Print CSV instead of a table")
PLOT: Final = Setting(
    "", "plot", "switch", False, "Draw it in the terminal; needs pip install 'emdc[plot]'"
)

Form: TypeAlias = Literal["table", "json", "csv", "plot"]
Rows: TypeAlias = Iterable[Sequence[Value]]

_FORMS: Final[tuple[Form, ...]] = ("json", "csv", "plot")


class Past(NamedTuple):
    """One database for a while."""

    engine: Database
    chronicle: Chronicle
    now: float
    """Seconds since 1970."""


@contextmanager
def opened(given: Mapping[str, object]) -> Iterator[Past]:
    """The database of the flags, which must be there, read-only until the block ends.

    Raises ConfigError, or StorageError when it cannot be used.
    """
    settings = settings_of(given)
    with existing(settings) as engine, asked(engine, settings) as past:
        yield past


@contextmanager
def asked(engine: Database, settings: Settings) -> Iterator[Past]:
    """The same of a database that is open."""
    with open_chronicle(engine, settings, clock=utc_now) as chronicle:
        yield Past(engine, chronicle, now())


def now() -> float:
    """What time it is."""
    return time()


def utc_now() -> datetime:
    """The same for storage."""
    return datetime.fromtimestamp(now(), UTC)


def form_of(own: Mapping[str, Any]) -> Form:
    """What is to be printed. Raises ConfigError for more than one of --json, --csv and --plot."""
    wanted = [form for form in _FORMS if own.get(form)]
    if len(wanted) > 1:
        flags = " and ".join(f"--{form}" for form in wanted)
        raise ConfigError(f"{flags}: expected one of them")
    return wanted[0] if wanted else "table"


def topic_of(chronicle: Chronicle, name: str | None, *, energy: bool = False) -> TopicFacts:
    """What is said of the topic of --topic; with `energy` one is wanted that has an energy.

    Raises ConfigError: without a name with examples, else with what may be meant.
    """
    if name is None:
        raise ConfigError(f"--topic: {meant.missing(chronicle, energy=energy)}")
    try:
        return meant.topic_of(chronicle, name, energy=energy)
    except ConfigError as error:
        raise ConfigError(f"--topic: {error}") from error


def zone_of(topic: TopicFacts) -> ZoneInfo:
    """The zone of the topic's meter."""
    return ZoneInfo(topic.zone)


def print_json(answer: object) -> None:
    """One answer, on one line."""
    print(msgspec.json.encode(answer).decode())


def print_csv(rows: Rows) -> None:
    """Lines of CSV; no cell is run as a formula by a spreadsheet."""
    buffer = io.StringIO(newline="")
    lines = ([value_cell(cell) for cell in row] for row in rows)
    csv.writer(buffer).writerows(lines)  # lines end as RFC 4180 wants it
    sys.stdout.write(buffer.getvalue())
