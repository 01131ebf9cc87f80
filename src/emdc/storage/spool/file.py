"""The SQLite file of a spool: whose it is, whether it is sound, and transactions on it.

Used by `spool` alone. There is one connection, made when it is needed; after a failure whose traces
on the disk are not known the next call makes another. A file that turns out to be damaged is set
aside in the middle of a call, and the call goes on with a new one.
"""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from emdc.errors import StorageError
from emdc.storage.spool.lock import lock_beside
from emdc.storage.spool.salvage import flush_folder, salvage, set_aside, spelled, text, write_again

log = logging.getLogger(__name__)

_DAMAGED: Final = "damaged"
_FORMAT: Final = 1
"""In `PRAGMA user_version`; a spool of a higher one was written by a later version."""
_APPLICATION: Final = 0x454D4453
"""In `PRAGMA application_id`: tells a spool from any other SQLite file, such as the database."""
_MAGIC: Final = b"SQLite format 3\0"
_SMALLEST_PAGE: Final = 512
_BUSY_S: Final = 5.0
_LOG_BYTES: Final = 4 * 1024 * 1024
"""The write-ahead log is cut to this size: enough to remove events when the disk is full."""
_CHECKED_BYTES: Final = 64 * 1024 * 1024
"""A file up to this size is checked whole when it is opened, which takes about 50 ms."""
_SHRINK_BYTES: Final = 16 * 1024 * 1024

_SCHEMA: Final = f"""
BEGIN;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    put_at TEXT NOT NULL,
    readings INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    meter TEXT,
    tick TEXT,
    reason TEXT NOT NULL,
    entry TEXT,
    body BLOB
);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_FORMAT};
COMMIT;
"""  # numbers of events and of rows set aside only ever grow

_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_T = TypeVar("_T")

Work: TypeAlias = Callable[[sqlite3.Connection], _T]
"""What is done in one transaction."""


class SpoolFile:
    """One file, this process's own between `claim` and `close`. Not for two threads at once.

    `opened` is called with each new connection, in no transaction, to look what is in the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime],
        opened: Callable[[sqlite3.Connection], None],
    ) -> None:
        self._path = path
        self._clock = clock
        self._opened = opened
        self._lock: int | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def claimed(self) -> bool:
        """Whether it is this process's own."""
        return self._lock is not None

    def claim(self) -> None:
        """Keep every other process out; raises StorageError naming the one that has it."""
        if self._lock is None:
            self._lock = lock_beside(self._path)

    def close(self) -> None:
        """Let others have it."""
        self._disconnect()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def run(self, work: Work[_T]) -> _T:
        """Do it in one transaction; a second time, in a new file, when this one is damaged.

        Raises StorageError when the disk fails; then nothing was done, and it can be tried again.
        """
        if self._lock is None:
            raise StorageError(f"{self._path}: the spool is not open, expected open() before")
        try:
            try:
                return self._attempt(work)
            except _UnsoundError as error:
                self._start_anew(error)
            return self._attempt(work)
        except _UnsoundError as error:
            raise StorageError(f"{self._path}: {error}") from error
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: {error}: {_mend(error)}") from error

    def shrink(self) -> None:
        """Cut the file to what it holds when it has much free room, and empty its log."""
        connection = self._connection
        if connection is None:
            return
        # What goes wrong here was not needed; the next transaction finds it.
        with suppress(sqlite3.Error):
            pages = _scalar(connection, "PRAGMA freelist_count")
            if pages * _scalar(connection, "PRAGMA page_size") > _SHRINK_BYTES:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _attempt(self, work: Work[_T]) -> _T:
        try:
            self._put_back()
            connection = self._connection or self._connect()
            connection.execute("BEGIN")
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back(error)
            if _code(error) in _DAMAGE:
                raise _UnsoundError(_DAMAGED, str(error)) from error
            raise
        return result

    def _put_back(self) -> None:
        """Write the file again when somebody has removed it: what is open still has all of it."""
        lost = self._connection
        if lost is None or self._path.exists():
            return
        log.error("spool removed, written again", extra={"path": str(self._path)})
        write_again(lost, self._path)
        self._disconnect()

    def _connect(self) -> sqlite3.Connection:
        self._connection = _connected(self._path)
        self._opened(self._connection)
        return self._connection

    def _roll_back(self, error: BaseException) -> None:
        if self._connection is None:
            return
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and _code(error) != sqlite3.SQLITE_FULL:
            # What a failed write or flush left on the disk is not known: look again.
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _start_anew(self, unsound: "_UnsoundError") -> None:
        """Set the file aside and put what it still gives into a new one."""
        self._disconnect()
        kept = set_aside(self._path, unsound.label, self._clock())
        facts = {"path": str(self._path), "kept": str(kept)}
        log.error("spool set aside", extra={**facts, "error": str(unsound)})
        if unsound.label != _DAMAGED:
            return
        try:
            saved, unreadable = self._attempt(lambda new: salvage(kept, new))
        except sqlite3.Error as error:
            log.error("spool not salvaged to its end", extra={**facts, "error": str(error)})
        else:
            counts = {"events": saved, "unreadable": unreadable}
            log.warning("spool salvaged", extra={**facts, **counts})
        self._disconnect()


class _UnsoundError(Exception):
    """The file holds no spool that can be used; `label` says why, as a part of a file name."""

    def __init__(self, label: str, reason: str) -> None:
        self.label = label
        super().__init__(reason)


def _connected(path: Path) -> sqlite3.Connection:
    """A connection to the spool in this file, which is made when there is none.

    Raises _UnsoundError when the file is damaged or of a later version, StorageError when it cannot
    be opened or is a database of something else, and sqlite3.Error.
    """
    try:
        _make(path)
    except OSError as error:
        raise StorageError(f"{path}: {spelled(error)}") from error
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection, path)
    except BaseException as error:
        connection.close()
        # All statements are constant: an error of SQL says that the schema in the file is not ours.
        if _code(error) in _DAMAGE | {sqlite3.SQLITE_ERROR}:
            raise _UnsoundError(_DAMAGED, str(error)) from error
        raise
    return connection


def _make(path: Path) -> None:
    """Make the file if there is none; raises _UnsoundError when it is no SQLite file."""
    if path.is_dir():
        raise StorageError(f"{path} is a folder, expected a file: name another path")
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640))
        flush_folder(path)
        return
    # SQLite itself takes a file of less than a page for an empty one, and would write over it.
    with path.open("rb") as file:
        start = file.read(_SMALLEST_PAGE)
    if start and (len(start) < _SMALLEST_PAGE or not start.startswith(_MAGIC)):
        raise _UnsoundError(_DAMAGED, "not a SQLite file")
    # Written by no version, and refused as if the folder's rights forbade to write.
    if start and start[18:20] not in {b"\1\1", b"\2\2"}:
        raise _UnsoundError(_DAMAGED, "neither with a rollback journal nor with a log")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.text_factory = text
    connection.execute("PRAGMA cell_size_check = ON")
    marks = tuple(
        _scalar(connection, f"PRAGMA {name}") for name in ("application_id", "user_version")
    )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    _check(path, marks, tables)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    if not tables:
        connection.executescript(_SCHEMA)
    if path.stat().st_size <= _CHECKED_BYTES:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise _UnsoundError(_DAMAGED, found)
    connection.execute("SELECT seq, kind, put_at, readings, body FROM events LIMIT 1").fetchall()
    connection.execute(
        "SELECT id, at, meter, tick, reason, entry, body FROM aside LIMIT 1"
    ).fetchall()


def _check(path: Path, marks: tuple[int, ...], tables: set[str]) -> None:
    """Raise what is wrong with a file that says these things of itself."""
    application, version = marks
    if application != _APPLICATION and tables and "events" not in tables:
        raise StorageError(
            f"{path} is a database of something else, expected a spool: name another file"
        )
    if application == _APPLICATION and version > _FORMAT:
        raise _UnsoundError(f"format-{version}", f"format {version}, expected at most {_FORMAT}")
    if marks != ((_APPLICATION, _FORMAT) if tables else (0, 0)):
        raise _UnsoundError(_DAMAGED, f"format {version} of {application:#x}")


def _scalar(connection: sqlite3.Connection, query: str) -> int:
    (value,) = connection.execute(query).fetchone()
    return int(value)


def _code(error: BaseException) -> int:
    """What SQLite calls an error, without its details; -1 when it is not SQLite's."""
    if isinstance(error, UnicodeDecodeError):
        # The text of SQLite's error quotes what it found, and that was no text.
        return sqlite3.SQLITE_CORRUPT
    return int(getattr(error, "sqlite_errorcode", -1)) & 0xFF


def _mend(error: sqlite3.Error) -> str:
    if _code(error) == sqlite3.SQLITE_FULL:
        return "make room"
    if _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return "end the program that reads or writes it"
    return "see to the disk and to the rights of the folder"
