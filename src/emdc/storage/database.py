"""Engines, what differs between them, and the idempotent insert.

A further database is one row in DIALECTS and its own connection settings in `open_engine`.
Every statement of this package that is not portable SQL lives here or in `views`.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from emdc.errors import ConfigError, StorageError

log = logging.getLogger(__name__)

Database: TypeAlias = Engine
"""An open database, as the rest of the program passes it on."""

_BUSY_S: Final = 5.0
"""Seconds that a statement waits for another process's lock; `?timeout=` in the URL is stronger."""
_WAL_BYTES: Final = 64 * 1024 * 1024
_OLDEST_SQLITE: Final = (3, 38, 0)
"""The first with `->` and `->>`, which the views use."""

IMMEDIATE: Final = "emdc_immediate"
"""Execution option: begin by taking the write lock, so that no later statement fails for it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of database needs; `insert_reading` takes the six columns in table order."""

    name: str
    insert_reading: str
    insert_gap: str

    def insert_readings(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert rows of `readings` whose key is new, in one call; gives how many were."""
        return self._insert(connection, self.insert_reading, rows)

    def insert_gaps(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert rows of `gaps` that are not there yet; gives how many were."""
        return self._insert(connection, self.insert_gap, rows)

    @staticmethod
    def _insert(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
        if not rows:
            return 0
        options = {"preserve_rowcount": True}
        return connection.exec_driver_sql(sql, list(rows), execution_options=options).rowcount


DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": Dialect(
        name="sqlite",
        insert_reading="INSERT INTO readings (meter_id, ts, read_at, scheduled, vals, gaps)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (meter_id, ts) DO NOTHING",
        insert_gap="INSERT INTO gaps (meter_id, from_ts, to_ts, reason)"
        " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    ),
}


def open_engine(url: str | URL, *, pool_size: int = 3) -> Engine:
    """An engine whose database has answered; SQLite files: WAL, each commit on disk.

    A SQLite file that does not exist yet is created empty. Raises ConfigError when the URL cannot
    mean a database of ours, StorageError when the database is there but cannot be used.
    """
    target = _parsed(url)
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigError(f"SQLite is {sqlite3.sqlite_version}, expected 3.38 or newer")
    memory = _means_memory(target)
    if not memory and "uri" not in target.query:
        _check_path(target)
    engine = sqlalchemy.create_engine(
        target,
        poolclass=QueuePool,
        # One connection in all is both the memory database and the lock that its users share.
        pool_size=1 if memory else pool_size,
        max_overflow=0 if memory else 10,
        connect_args=_connect_args(target),
        hide_parameters=True,
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    try:
        _probe(engine, memory=memory)
    except BaseException:
        engine.dispose()
        raise
    return engine


def is_memory(engine: Engine) -> bool:
    """Whether the database lives in this process's memory and ends with it."""
    return _means_memory(engine.url)


def shown(url: URL) -> str:
    """The URL without its password, for logs and health."""
    return url.render_as_string(hide_password=True)


@contextmanager
def connected(engine: Engine, *, write: bool = False) -> Iterator[Connection]:
    """A connection in one transaction, committed at the end; failures become StorageError."""
    try:
        with engine.connect() as connection:
            connection.execution_options(**{IMMEDIATE: write})
            with connection.begin():
                yield connection
    except SQLAlchemyError as error:
        raise StorageError(f"{shown(engine.url)}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What the database said, in one line and without a statement's values."""
    said = getattr(error, "orig", None) or error
    return " ".join(str(said).split())


def keep_newest(connection: Connection, table: str, limit: int) -> int:
    """Delete the rows of a SQLite table that came before its newest `limit`; gives how many."""
    # Rows are only ever added, and only the oldest go: their numbers have no holes to speak of.
    sql = f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - ?"  # noqa: S608
    options = {"preserve_rowcount": True}
    return connection.exec_driver_sql(sql, (limit,), execution_options=options).rowcount


def _parsed(url: str | URL) -> URL:
    try:
        target = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        # Nothing of it is shown: a URL that cannot be parsed may hold a password anywhere.
        raise ConfigError(
            "database url: not a database URL, expected for example sqlite:///emdc.db"
        ) from None
    kind = target.get_backend_name()
    if kind not in DIALECTS:
        supported = ", ".join(DIALECTS)
        raise ConfigError(
            f"database {shown(target)}: {kind} is not supported, expected {supported}"
        )
    return target


def _means_memory(url: URL) -> bool:
    name = url.database or ":memory:"
    return name in {":memory:", "file::memory:"} or url.query.get("mode") == "memory"


def _check_path(url: URL) -> None:
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


def _connect_args(url: URL) -> dict[str, Any]:
    arguments: dict[str, Any] = {"check_same_thread": False}
    if "timeout" not in url.query:
        arguments["timeout"] = _BUSY_S
    return arguments


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    # This package says BEGIN itself: the driver's own way leaves DDL outside of transactions.
    connection.isolation_level = None
    for setting in ("foreign_keys=ON", "synchronous=FULL", f"journal_size_limit={_WAL_BYTES}"):
        connection.execute(f"PRAGMA {setting}")


def _on_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _probe(engine: Engine, *, memory: bool) -> None:
    """Ask the file what it is; switch it to WAL; find out whether it can be written."""
    name = shown(engine.url)
    try:
        with closing(engine.raw_connection()) as pooled, closing(pooled.cursor()) as cursor:
            cursor.execute("PRAGMA schema_version")
            if memory:
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
