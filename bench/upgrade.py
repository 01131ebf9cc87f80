"""Figure 11: a database of the old collector upgraded, and not a character of it changed.

Each topic has a row for each minute: 500,000 rows, or 5 million with `--long`, as the old
collector's last revision keeps them (on MariaDB in MyISAM); the long form also begins at its first
revision on MariaDB (InnoDB, latin1). `emdc migrate` runs as a process of its own and is timed. Then
plain drivers read the view `data` and the table `data_old`. A checksum over time, topic and text of
all rows must be that of the rows which were written before; it is shown that one changed row is
found.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from pymysql.cursors import SSCursor

from bench import engines, old_rows, plant
from bench.engines import Database
from bench.old_rows import Row
from bench.rig import Result, exactly

_STREAMING = {"postgresql": ("rows",), "mariadb": (SSCursor,)}
"""What makes a driver's cursor give rows as they come."""
_FETCHED = 10_000
_DAMAGE = "UPDATE data_old SET value_string = '7' WHERE topic_id = 7 AND ts = ?"


@dataclass
class Checksum:
    """The sum of all rows' hashes: their order does not matter. Good within one process."""

    rows: int = 0
    total: int = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Count these rows too."""
        self.rows += len(rows)
        self.total += sum(map(hash, rows))


def run(*, long: bool) -> list[Result]:
    """500,000 rows on each kind of database, or 5 million and one more beginning."""
    begins = [(kind, old_rows.LAST_REVISION) for kind in engines.KINDS]
    if long:
        begins.append(("mariadb", old_rows.FIRST_REVISION))
    results: list[Result] = []
    for kind, revision in begins:
        with (
            tempfile.TemporaryDirectory() as name,
            engines.new_database(kind, Path(name)) as place,
        ):
            results += _measure(place, revision, 5_000 if long else 500)
    return results


def _measure(place: Database, revision: str, ticks: int) -> list[Result]:
    written = Checksum()
    old_rows.leave(place, range(ticks), revision=revision, see=written.add)
    seconds = old_rows.migrate(place, "--data_timezone=UTC")
    what = f"{place.title} from {revision}"
    differing = sum(_checksum(place, table) != written for table in ("data", "data_old"))
    results = [
        exactly(f"{what}: rows", written.rows, ticks * old_rows.METERS * plant.METRICS),
        Result(f"{what}: emdc migrate", f"{seconds:.1f} s"),
        exactly(f"{what}: checksums that differ, of data and data_old", differing, 0),
    ]
    if place.kind == "sqlite":
        place.rows(_DAMAGE, old_rows.spelled(ticks // 2))
        differing = int(_checksum(place, "data_old") != written)
        results.append(exactly(f"{what}: the same after a row was changed", differing, 1))
    return results


def _checksum(place: Database, table: str) -> Checksum:
    checksum = Checksum()
    connection = place.connect()
    try:
        cursor = connection.cursor(*_STREAMING.get(place.kind, ()))
        if place.kind == "postgresql":
            connection.autocommit = False
        cursor.execute(f"SELECT ts, topic_id, value_string FROM {table}")
        # Five million rows need not fit into memory.
        while rows := cursor.fetchmany(_FETCHED):
            checksum.add([(_text(ts), topic, value) for ts, topic, value in rows])
    finally:
        connection.close()
    return checksum


@cache
def _text(ts: datetime | str) -> str:
    """An instant as it was written; sessions are in UTC."""
    if isinstance(ts, str):
        return ts
    return ts.replace(tzinfo=None).isoformat(" ", "microseconds")
