"""What becomes of a spool that cannot be used: it is renamed, and what it still gives is copied.

Called by `file`. Rule to keep: no file is ever overwritten or deleted.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from emdc.errors import StorageError
from emdc.storage.spool.parcel import unpack

log = logging.getLogger(__name__)

_AT_ONCE_BYTES: Final = 8 * 1024 * 1024
"""Copied in one transaction: a log as large as the whole spool might find no room."""
_MOST_PROBES: Final = 100_000

_Row: TypeAlias = tuple[Any, ...]


def set_aside(path: Path, label: str, now: datetime) -> Path:
    """Rename the spool and its log to `<name>.<label>-<UTC time>`; gives the new path.

    Raises StorageError when that is refused.
    """
    stem = f"{path.name}.{label}-{now:%Y%m%dT%H%M%SZ}"
    kept = path.with_name(stem)
    count = 1
    while kept.exists():
        count += 1
        kept = path.with_name(f"{stem}-{count}")
    try:
        # The log goes first: a log without its file is ignored, a file without its log is older.
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
        flush_folder(path)
    except OSError as error:
        raise StorageError(f"{path}: {spelled(error)}") from error
    return kept


def write_again(lost: sqlite3.Connection, path: Path) -> None:
    """Copy a file that was removed while it was open to where it was; then it can be closed.

    Raises StorageError when the folder cannot be made, sqlite3.Error when the copy fails.
    """
    copy = path.with_name(f"{path.name}.copy")
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(copy)) as target:
            lost.backup(target)
        # Closed before its name is taken again: closing removes a log of that name.
        lost.close()
        copy.chmod(0o640)
        copy.rename(path)
        flush_folder(path)
    except OSError as error:
        raise StorageError(f"{path}: {spelled(error)}") from error


def salvage(kept: Path, connection: sqlite3.Connection) -> tuple[int, int]:
    """Copy what a damaged file still gives into a new one, with the numbers that events had.

    `connection` is in a transaction, and in another one afterwards. Gives how many events were
    saved and how many were found that cannot be read.
    """
    saved = unreadable = size = 0
    with closing(_read_only(kept)) as source:
        for row in _events(source):
            seq, kind, _, _, body = row
            try:
                unpack(kind, body)
            except StorageError as error:
                unreadable += 1
                log.error("spooled event lost", extra={"event": seq, "error": str(error)})
                continue
            insert = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)"
            saved += connection.execute(insert, row).rowcount
            size += len(body)
            if size > _AT_ONCE_BYTES:
                size = 0
                connection.execute("COMMIT")
                connection.execute("BEGIN")
        for row in _until_error(source, "SELECT * FROM aside ORDER BY id"):
            insert = "INSERT OR IGNORE INTO aside VALUES (?, ?, ?, ?, ?, ?, ?)"
            connection.execute(insert, row)
    return saved, unreadable


def flush_folder(path: Path) -> None:
    """Make the names in the file's folder as durable as what is in the files."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def spelled(error: OSError) -> str:
    """What the system says, without the path that the message names already."""
    return error.strerror or str(error)


def text(raw: bytes) -> str:
    """A text as SQLite keeps it; a damaged one must not hide the rest of its row."""
    return raw.decode("utf-8", "replace")


def _read_only(path: Path) -> sqlite3.Connection:
    # Read only, so that it stays as it was found; "?" and "%" in a name must not be its options.
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    connection.text_factory = text
    return connection


def _events(source: sqlite3.Connection) -> Iterator[_Row]:
    """Every event that can be reached: from the oldest on, from the newest back, one by one."""
    columns = "SELECT seq, kind, put_at, CAST(readings AS INTEGER), body FROM events"
    low = 0
    for row in _until_error(source, f"{columns} ORDER BY seq"):
        low = max(low, row[0])
        yield row
    high = None
    for row in _until_error(source, f"{columns} WHERE seq > {low} ORDER BY seq DESC"):
        high = row[0]
        yield row
    if high is not None:
        for seq in range(low + 1, min(high, low + _MOST_PROBES)):
            yield from _until_error(source, f"{columns} WHERE seq = {seq}")


def _until_error(source: sqlite3.Connection, query: str) -> Iterator[_Row]:
    # The text of an error may quote what was found, which need not be text.
    with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
        yield from source.execute(query)
