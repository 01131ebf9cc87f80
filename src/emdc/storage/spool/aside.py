"""What the database will never take, kept in the spool's table `aside` for a person to read.

Called by `spool` inside its transactions. The newest ROWS are kept.
"""

import json
import sqlite3
from typing import Final

from emdc.reading import Gap, MeterReading
from emdc.storage.instants import to_text

ROWS: Final = 10_000


def keep_entry(
    connection: sqlite3.Connection, entry: MeterReading | Gap, reason: str, at: str
) -> None:
    """Keep a reading or a gap as JSON."""
    tick = entry.from_ts if isinstance(entry, Gap) else entry.tick
    _keep(connection, (at, _plain(entry.meter), to_text(tick), _plain(reason), _json(entry), None))


def keep_body(connection: sqlite3.Connection, body: object, reason: str, at: str) -> None:
    """Keep the bytes of an event that cannot be read."""
    _keep(connection, (at, None, None, _plain(reason), None, body))


def count(connection: sqlite3.Connection) -> int:
    """How many rows there are."""
    (rows,) = connection.execute("SELECT count(*) FROM aside").fetchone()
    return int(rows)


def _keep(connection: sqlite3.Connection, row: tuple[object, ...]) -> None:
    connection.execute(
        "INSERT INTO aside (at, meter, tick, reason, entry, body) VALUES (?, ?, ?, ?, ?, ?)", row
    )
    connection.execute("DELETE FROM aside WHERE id <= (SELECT max(id) FROM aside) - ?", (ROWS,))


def _json(entry: MeterReading | Gap) -> str:
    if isinstance(entry, Gap):
        ends = {"from": to_text(entry.from_ts), "to": to_text(entry.to_ts)}
        return json.dumps({"meter": entry.meter, **ends, "reason": entry.reason})
    values: object = dict(zip(entry.metrics, entry.values, strict=False))
    if len(entry.metrics) != len(entry.values):
        values = [list(entry.metrics), list(entry.values)]
    return json.dumps(
        {
            "meter": entry.meter,
            "tick": to_text(entry.tick),
            "read_at": to_text(entry.read_at),
            "scheduled": entry.scheduled,
            "values": values,
            "gaps": dict(entry.gaps),
        },
        default=repr,
    )


def _plain(text: str) -> str:
    """A text that SQLite takes: half a surrogate pair is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
