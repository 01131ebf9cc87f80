"""What a spool holds, seen from outside: its owner may be at work on it."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from emdc.errors import StorageError

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Spooled:
    """Readings that wait for the database, and rows that it will never take."""

    readings: int
    since: str | None
    """UTC, when the oldest was put there."""
    aside: int
    examples: tuple[str, ...]
    """The newest rows set aside, one line each."""


def look(path: Path) -> Spooled | None:
    """What waits in the file; None when there is none. Raises StorageError when it is no spool."""
    if not path.exists():
        return None
    target = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(target, uri=True)) as connection:
            waiting = "SELECT coalesce(sum(readings), 0), min(put_at) FROM events"
            readings, since = connection.execute(waiting).fetchone()
            (aside,) = connection.execute("SELECT count(*) FROM aside").fetchone()
            newest = "SELECT at, meter, tick, reason FROM aside ORDER BY id DESC LIMIT ?"
            rows = connection.execute(newest, (_SHOWN,)).fetchall()
    except sqlite3.Error as error:
        raise StorageError(f"spool {path}: {error}, expected a spool of EMDC") from error
    examples = tuple(f"{meter} at {tick}: {why} (set aside {at})" for at, meter, tick, why in rows)
    return Spooled(int(readings), since, int(aside), examples)
