"""Databases as the old collector left them: its tables, and a row for each value.

The tables are those of one of its revisions, made by `emdc migrate`; the rows are the plant's, as
text, with a word instead of a number now and then.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from bench import plant, rig
from bench.engines import Database

METERS = 10
INTERVAL_S = 60
FIRST_REVISION = "b80fb9e8acd7"
LAST_REVISION = "54207f6995cd"

_TICKS_AT_ONCE = 10
_WORDS = ("offline", "Störung", "")

Row = tuple[str, int, str]
"""ts, topic_id, value_string."""


def migrate(place: Database, *flags: str) -> float:
    """`emdc migrate` as its users run it; the seconds that it took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "emdc", "migrate", f"--db_url={place.url}", *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=rig.ROOT)
    return time.perf_counter() - started


def leave(
    place: Database,
    ticks: range,
    *,
    revision: str = LAST_REVISION,
    see: Callable[[list[Row]], None] = lambda _rows: None,
) -> None:
    """Fill a new database with these minutes of every topic; `see` is shown the rows of `data`."""
    migrate(place, f"--revision={revision}")
    names = [f"{plant.name_of(meter)}/{name}" for meter in range(METERS) for name in plant.NAMES]
    _insert(place, "topics (topic_id, topic_name)", list(enumerate(names, 1)))
    for first in range(ticks.start, ticks.stop, _TICKS_AT_ONCE):
        rows = list(_rows(range(first, min(first + _TICKS_AT_ONCE, ticks.stop))))
        _insert(place, "data (ts, topic_id, value_string)", rows)
        see(rows)


def spelled(tick: int) -> str:
    """The instant of a tick as every kind of database takes it."""
    at = plant.START + timedelta(seconds=INTERVAL_S * tick)
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")


def _rows(ticks: Iterable[int]) -> Iterator[Row]:
    for tick in ticks:
        ts = spelled(tick)
        for meter in range(METERS):
            first = meter * plant.METRICS + 1
            for topic, value in enumerate(plant.values(meter, tick), first):
                word = (tick + topic) % 97 == 0
                yield ts, topic, _WORDS[topic % len(_WORDS)] if word else str(value)


def _insert(place: Database, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    connection = place.connect()
    try:
        cursor = connection.cursor()
        if place.kind == "postgresql":
            with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        cursor.execute("BEGIN")
        places = ", ".join(["?"] * len(rows[0]))
        cursor.executemany(place.spelled(f"INSERT INTO {into} VALUES ({places})"), rows)
        cursor.execute("COMMIT")
    finally:
        connection.close()
