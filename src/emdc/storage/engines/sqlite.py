"""SQLite: a file in WAL mode with each commit on disk, or a database in memory."""

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from emdc.errors import ConfigError, StorageError
from emdc.storage.engines import jsonvalues
from emdc.storage.engines.dialect import GapRow
from emdc.storage.layout import ReadingRow
from emdc.storage.urls import reason, shown

log = logging.getLogger(__name__)

IMMEDIATE: Final = "emdc_immediate"
"""Execution option: begin by taking the write lock, so that no later statement fails for it."""

_BUSY_S: Final = 5.0
"""Seconds that a statement waits for another process's lock; `?timeout=` in the URL is stronger."""
_WAL_BYTES: Final = 64 * 1024 * 1024
_CACHE_KB: Final = 64_000
_CHECKPOINT_PAGES: Final = 16_000
_OLDEST: Final = (3, 38, 0)
"""The first with `->` and `->>`, which the views use."""
_INSERT_READING: Final = (
    "INSERT INTO readings (meter_id, ts, read_at, scheduled, vals, gaps)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (meter_id, ts) DO NOTHING"
)
_INSERT_GAP: Final = (
    "INSERT INTO gaps (meter_id, from_ts, to_ts, reason) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

value_columns = jsonvalues.value_columns
has_value = jsonvalues.has_value
values = jsonvalues.values


def is_memory(url: URL) -> bool:
    """Whether the database lives in this process's memory and ends with it."""
    if url.get_backend_name() != "sqlite":
        return False
    name = url.database or ":memory:"
    return name in {":memory:", "file::memory:"} or url.query.get("mode") == "memory"


def sqlite_file(address: str) -> Path | None:
    """The file of a SQLite URL; None for memory and for other engines."""
    url = make_url(address)
    if url.get_backend_name() != "sqlite" or is_memory(url):
        return None
    return Path((url.database or "").removeprefix("file:"))


def connect_args(url: URL, _tls_ca: Path | None, *, silence_s: int | None = None) -> dict[str, Any]:
    """Any thread may use a connection, one after the other."""
    arguments: dict[str, Any] = {"check_same_thread": False}
    if "timeout" not in url.query:
        arguments["timeout"] = _BUSY_S
    return arguments


def on_connect(connection: sqlite3.Connection) -> None:
    """Foreign keys, and each commit on disk."""
    # This package says BEGIN itself: the driver's own way leaves DDL outside of transactions.
    connection.isolation_level = None
    settings = (
        "foreign_keys=ON",
        "synchronous=FULL",
        f"journal_size_limit={_WAL_BYTES}",
        # Each tick of a thousand meters changes a leaf of the key for each: with the usual 2 MB of
        # cache and a checkpoint every 4 MB they are read and written again and again.
        f"cache_size=-{_CACHE_KB}",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
    )
    for setting in settings:
        connection.execute(f"PRAGMA {setting}")


def on_begin(connection: Connection) -> None:
    """Begin, with the write lock when that is asked for."""
    immediate = connection.get_execution_options().get(IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def insert_readings(connection: Connection, rows: Iterable[ReadingRow]) -> int:
    """Insert rows of `readings` whose key is new; gives how many were."""
    return _insert(connection, _INSERT_READING, list(rows))


def insert_gaps(connection: Connection, rows: Sequence[GapRow]) -> int:
    """Insert rows of `gaps` that are not there yet; gives how many were."""
    return _insert(connection, _INSERT_GAP, rows)


def _insert(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
    if not rows:
        return 0
    options = {"preserve_rowcount": True}
    return connection.exec_driver_sql(sql, list(rows), execution_options=options).rowcount


def writing(_connection: Connection) -> None:
    """Nothing, as in `settle`."""


def settle(_connection: Connection) -> None:
    """A commit ends with its process."""


@contextmanager
def alone(_engine: Engine) -> Iterator[None]:
    """Nothing to do: who writes has the whole file."""
    yield


def keep_newest(connection: Connection, table: str, limit: int) -> int:
    """Delete the rows of a table that came before its newest `limit`; gives how many."""
    # Rows are only ever added, and only the oldest go: their numbers have no holes to speak of.
    sql = f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - ?"  # noqa: S608
    options = {"preserve_rowcount": True}
    return connection.exec_driver_sql(sql, (limit,), execution_options=options).rowcount


def check(url: URL) -> None:
    """Raise ConfigError or StorageError when there cannot be a database at this path."""
    if sqlite3.sqlite_version_info < _OLDEST:
        raise ConfigError(f"SQLite is {sqlite3.sqlite_version}, expected 3.38 or newer")
    if is_memory(url) or "uri" in url.query:
        return
    path = Path(url.database or "")
    if path.is_dir():
        raise ConfigError(f"database {path}: is a directory, expected a file")
    if path.exists() and not path.is_file():
        raise ConfigError(f"database {path}: not a regular file, expected a file on a disk")
    if not path.parent.is_dir():
        raise ConfigError(
            f"database {path}: no directory {path.parent.absolute()}, create it first"
        )
    for place in (path, path.parent):
        # SQLite writes its journal beside the file.
        if place.exists() and not os.access(place, os.W_OK):
            raise StorageError(f"database {path}: {place} is read-only, expected to write there")


def probe(engine: Engine) -> None:
    """Ask the file what it is; switch it to WAL; find out whether it can be written."""
    name = shown(engine.url)
    try:
        with closing(engine.raw_connection()) as pooled, closing(pooled.cursor()) as cursor:
            cursor.execute("PRAGMA schema_version")
            if is_memory(engine.url):
                return
            cursor.execute("PRAGMA journal_mode=WAL")
            mode = dict(enumerate(cursor.fetchone() or ())).get(0)
            cursor.execute("BEGIN IMMEDIATE")
            # Beginning is not enough: a read-only file only objects to a change.
            cursor.execute("PRAGMA user_version=1")
            cursor.execute("ROLLBACK")
    except (sqlite3.Error, SQLAlchemyError) as error:
        if "locked" in reason(error):
            return
        raise StorageError(f"{name}: {reason(error)}{_advice(error)}") from error
    if mode != "wal":
        log.warning("no write-ahead log here", extra={"url": name, "journal_mode": mode})


def _advice(error: Exception) -> str:
    said = reason(error)
    if "not a database" in said:
        return ": it is kept as it is, name another file"
    if "readonly" in said:
        return ": expected to write there"
    return ""
