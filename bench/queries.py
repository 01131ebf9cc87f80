"""Figure 6: the old collector's queries on the views, on databases that hold the new rows.

10 meters of 100 metrics, read every minute: 2 million samples, or 10 million with `--long`, on each
kind of database, written as the daemon writes them. Then plain drivers ask the views what the old
tables were asked, for random topics, days and names; every row that comes is compared with what the
meter said. Medians of warm runs. The long form asks the same of databases that were upgraded and
hold 2.9 million rows of the old collector too.
"""

import math
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import engines, old_rows, plant
from bench.engines import Database
from bench.old_rows import INTERVAL_S, METERS
from bench.rig import Result, at_most
from emdc.storage.store import Store

DAY = 1440
OLD_TICKS = 2 * DAY
"""Minutes before the first reading for which the old collector left rows."""
TICKS_AT_ONCE = 100
WARM_RUNS = 3
PATIENCE_S = 10
MOST_MS = {"newest": 1, "day": 20}


@dataclass(frozen=True)
class Question:
    """One query with its parameters out of `topic`, `name`, `start` and `end`."""

    what: str
    kind: str
    sql: str
    parameters: tuple[str, ...]


_SPAN = "ts >= ? AND ts < ? ORDER BY ts"
QUESTIONS = (
    Question(
        "newest value from data, by topic_id",
        "newest",
        "SELECT ts, value_string FROM data WHERE topic_id = ? ORDER BY ts DESC LIMIT 1",
        ("topic",),
    ),
    Question(
        "newest value from latest, by topic_id",
        "newest",
        "SELECT ts, value_string FROM latest WHERE topic_id = ?",
        ("topic",),
    ),
    Question(
        "a day of minutes from data, by topic_id",
        "day",
        f"SELECT ts, value_string FROM data WHERE topic_id = ? AND {_SPAN}",
        ("topic", "start", "end"),
    ),
    Question(
        "a day of minutes from samples, by name",
        "day",
        f"SELECT ts, value_string FROM samples WHERE topic_name = ? AND {_SPAN}",
        ("name", "start", "end"),
    ),
    Question(
        "a day of minutes from topics and data joined, by name",
        "day",
        "SELECT d.ts, d.value_string FROM topics AS t JOIN data AS d ON d.topic_id = t.topic_id"
        " WHERE t.topic_name = ? AND d.ts >= ? AND d.ts < ? ORDER BY d.ts",
        ("name", "start", "end"),
    ),
)


def run(*, long: bool) -> list[Result]:
    """2 million samples, or 10 million and the same again above old rows."""
    ticks, runs = (10_000, 200) if long else (2_000, 100)
    results: list[Result] = []
    for kind in engines.KINDS:
        for upgraded in (False, True) if long else (False,):
            with (
                tempfile.TemporaryDirectory() as name,
                engines.new_database(kind, Path(name)) as place,
            ):
                results += _measure(place, ticks, runs, upgraded=upgraded)
    return results


def _measure(place: Database, ticks: int, runs: int, *, upgraded: bool) -> list[Result]:
    if upgraded:
        old_rows.leave(place, range(-OLD_TICKS, 0))
        old_rows.migrate(place, "--data_timezone=UTC")
    _fill(place, ticks)
    topics = dict(place.rows("SELECT topic_name, topic_id FROM topics"))
    title = place.title + (" with old rows" if upgraded else "")
    results = []
    connection = place.connect()
    try:
        for question in QUESTIONS:
            asker = Asker(place, connection, topics, ticks)
            times = asker.times(question, runs)
            what = f"{title}: {question.what}"
            most = MOST_MS[question.kind]
            results.append(at_most(what, 1000 * statistics.median(times), most, " ms"))
    finally:
        connection.close()
    return results


class Asker:
    """Asks for topics and days that a seed picks, and checks each row."""

    def __init__(
        self, place: Database, connection: Any, topics: dict[str, int], ticks: int
    ) -> None:
        self._place = place
        self._cursor = connection.cursor()
        self._topics = topics
        self._ticks = ticks
        self._random = random.Random(6)

    def times(self, question: Question, runs: int) -> list[float]:
        """Seconds of each run after the first ones; fewer than `runs` when they take too long."""
        end = time.monotonic() + PATIENCE_S
        times: list[float] = []
        while len(times) < runs + WARM_RUNS and (time.monotonic() < end or len(times) <= WARM_RUNS):
            times.append(self.ask(question))
        return times[WARM_RUNS:]

    def ask(self, question: Question) -> float:
        """Seconds that one run took, until its last row was there."""
        meter, metric = self._random.randrange(METERS), self._random.randrange(plant.METRICS)
        start = self._random.randrange(self._ticks - DAY)
        name = f"{plant.name_of(meter)}/{plant.NAMES[metric]}"
        facts: dict[str, Any] = {"name": name, "topic": self._topics[name]}
        facts |= {"start": old_rows.spelled(start), "end": old_rows.spelled(start + DAY)}
        parameters = [facts[key] for key in question.parameters]
        began = time.perf_counter()
        self._cursor.execute(self._place.spelled(question.sql), parameters)
        rows = self._cursor.fetchall()
        seconds = time.perf_counter() - began
        newest = question.kind == "newest"
        wanted = [self._ticks - 1] if newest else list(range(start, start + DAY))
        _check(question, rows, [(tick, plant.values(meter, tick)[metric]) for tick in wanted])
        return seconds


def _check(
    question: Question, rows: Sequence[Sequence[Any]], wanted: Sequence[tuple[int, float]]
) -> None:
    right = len(rows) == len(wanted) and all(
        _minute(ts) == tick and math.isclose(float(text), value, rel_tol=1e-6, abs_tol=1e-6)
        for (ts, text), (tick, value) in zip(rows, wanted, strict=True)
    )
    if not right:
        raise SystemExit(f"{question.what}: {len(rows)} rows, expected {len(wanted)} right ones")


def _minute(ts: Any) -> float:
    """The number of the tick that a driver's `ts` is."""
    at = ts if isinstance(ts, datetime) else datetime.fromisoformat(ts)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - plant.START).total_seconds() / INTERVAL_S


def _fill(place: Database, ticks: int) -> None:
    with plant.registered(place.url, METERS, INTERVAL_S) as (engine, layouts):
        store = Store(engine, layouts, memory_limit=0)
        for start in range(0, ticks, TICKS_AT_ONCE):
            span = range(start, min(start + TICKS_AT_ONCE, ticks))
            store.commit([r for one in plant.cycles(METERS, span, INTERVAL_S) for r in one])
        store.close()
    # Servers do this by themselves, a minute after many rows have changed.
    if place.kind == "postgresql":
        place.rows("VACUUM ANALYZE")
    if place.kind == "mariadb":
        place.rows("ANALYZE TABLE readings, topics")
